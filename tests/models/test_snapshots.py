import copy

import pytest
import torch

from ssseg.models.snapshots import Snapshots
from ssseg.testing import tiny_network


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return tiny_network(3)


def shifted(network, by):
    moved = copy.deepcopy(network)
    with torch.no_grad():
        for tensor in (*moved.parameters(), *moved.buffers()):
            tensor.add_(by if tensor.is_floating_point() else int(100 * by))
    return moved


def test_a_copy_never_changes_until_it_is_the_oldest(network):
    kept = Snapshots(network, 2)
    assert len(kept) == 0
    selves = [shifted(network, number) for number in (1, 2, 3)]
    for number, own in enumerate(selves, 1):
        kept.take(own)
        assert len(kept) == min(number, 2)
    with torch.no_grad():
        next(selves[2].parameters()).zero_()
    for place, by in ((0, 3), (1, 2)):
        wanted, found = shifted(network, by).state_dict(), kept.copies[place].module.state_dict()
        assert all(torch.equal(tensor, wanted[name]) for name, tensor in found.items())
    kept.train()
    assert not any(p.requires_grad for p in kept.parameters())
    assert not any(part.training for part in kept.copies[0].modules())


def test_logits_are_weighted_sums_of_those_of_the_copies(network):
    kept = Snapshots(network, 3)
    for by in (0.0, 0.01, 0.02):
        kept.take(shifted(network, by))
    image = torch.randn(2, 3, 8, 8)
    wanted = sum(w * shifted(network, by).eval()(image) for w, by in ((0.7, 0.02), (0.3, 0.0)))
    torch.testing.assert_close(kept.logits(image, [(2, 0.7), (0, 0.3)]), wanted)


def test_a_checkpoint_holds_the_copies_and_their_number(network):
    kept = Snapshots(network, 2)
    for by in (1, 2, 3):
        kept.take(shifted(network, by))
    other = Snapshots(network, 2)
    other.load_state_dict(kept.state_dict())
    assert len(other) == 2
    other.take(shifted(network, 4))
    for place, by in ((0, 3), (1, 4)):
        wanted, found = shifted(network, by).state_dict(), other.copies[place].module.state_dict()
        assert all(torch.equal(tensor, wanted[name]) for name, tensor in found.items())
