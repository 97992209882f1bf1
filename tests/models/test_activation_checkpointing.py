import copy

import torch

from ssseg.models.activation_checkpointing import checkpoint_blocks
from tests.models.transformers import draw, make


def test_checkpointing_its_blocks_changes_no_gradient():
    plain = make()
    saving = copy.deepcopy(plain)
    assert checkpoint_blocks(saving.encoder) == 4
    images = draw(2, 3, 28, 42)
    for network in (plain, saving):
        network(images).square().mean().backward()
    theirs = dict(saving.named_parameters())
    assert all(torch.equal(p.grad, theirs[n].grad) for n, p in plain.named_parameters())
