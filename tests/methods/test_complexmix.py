"""ComplexMix: the grid of a step, and the gate before mixing."""

import pytest
import torch

from ssseg.methods.complexmix import ComplexMix
from ssseg.ops.masks import block_class_mask
from ssseg.ops.mix import Mixed
from ssseg.testing import NUM_CLASSES, make_method, step, tiny_batch
from ssseg.types import IGNORE

LABELED = tiny_batch(1).labeled


def label():
    return torch.randint(0, NUM_CLASSES, (2, 16, 16), generator=torch.Generator().manual_seed(0))


def test_the_number_of_blocks_changes_from_step_to_step_and_all_of_them_come():
    method = make_method(ComplexMix, {"blocks": (1, 4, 16)})
    used = set()
    for seed in range(40):
        found = method.mask(label(), step(seed))
        masks = {
            blocks: block_class_mask(
                label(),
                NUM_CLASSES,
                blocks,
                "present",
                "random",
                "total",
                generator=step(seed).draws,
            )
            for blocks in method.blocks
        }
        (chosen,) = [blocks for blocks, mask in masks.items() if torch.equal(mask, found)]
        used.add(chosen)
    assert used == {1, 4, 16}


def test_a_step_has_one_mask():
    method = make_method(ComplexMix)
    assert torch.equal(method.mask(label(), step(3)), method.mask(label(), step(3)))
    assert not torch.equal(method.mask(label(), step(3)), method.mask(label(), step(4)))


def sample(trusted):
    image = torch.arange(2.0).view(2, 1, 1, 1).expand(2, 3, 16, 16)
    return Mixed(image, label(), trusted, torch.ones(2, 16, 16, dtype=torch.bool))


def test_what_is_not_trusted_before_mixing_counts_nowhere_and_is_never_chosen():
    trusted = torch.zeros(2, 16, 16)
    trusted[:, :8] = 1
    method = make_method(ComplexMix, {"gate": "pixel_before", "blocks": (1,)})
    target, mask = method.combine(sample(trusted), label(), step(), LABELED)[:2]
    # both images lack the same pixels, so that no pixel without trust is filled from the other one
    assert not target.valid[:, 8:].any()
    assert target.valid[:, :8].all()
    assert not mask[:, 0, 8:].any()
    assert mask[:, 0, :8].any()
    assert (target.conf == 1).all()


@pytest.mark.parametrize("trust", [0.0, 1.0])
def test_after_mixing_trust_is_mixed_like_the_image(trust):
    trusted = torch.stack((torch.full((16, 16), trust), torch.full((16, 16), 1 - trust)))
    target, mask = make_method(ComplexMix).combine(sample(trusted), label(), step(), LABELED)[:2]
    assert target.valid.all()
    assert (target.label != IGNORE).all()
    own = mask[:, 0]
    wanted = torch.where(own, trusted, trusted.flip(0))
    assert torch.equal(target.conf, wanted)
