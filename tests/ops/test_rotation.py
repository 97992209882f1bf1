import torch

from ssseg.ops.rotation import random_turns, turned


def test_every_map_is_turned_by_its_own_number():
    image, label = torch.randn(4, 3, 5, 5), torch.randint(0, 9, (4, 5, 5))
    turns = torch.tensor([2, 0, 3, 1])
    for maps in (image, label):
        found = turned(maps, turns)
        assert found.dtype == maps.dtype
        for one, out, count in zip(maps, found, turns.tolist(), strict=True):
            assert torch.equal(out, torch.rot90(one, count, (-2, -1)))


def test_turns_are_one_two_or_three_alike_and_never_none():
    turns = random_turns(3000, generator=torch.Generator().manual_seed(0))
    counts = turns.bincount(minlength=4)
    assert counts[0] == 0
    assert (counts[1:] > 900).all()
    assert len(counts) == 4
