import torch

from ssseg.ops.sampling import at_grid, first_per_class
from ssseg.types import IGNORE
from tests.spread import seeded


def test_the_smallest_draws_of_every_class_are_taken_in_their_order():
    g = seeded()
    group, draw = torch.randint(0, 5, (60,), generator=g), torch.rand(60, generator=g)
    group[group == 1] = 2  # a class without elements
    index, found = first_per_class(group, draw, 4, 9)
    for c in range(4):
        wanted = sorted((i for i in range(60) if group[i] == c), key=lambda i: draw[i])[:9]
        assert index[c][found[c]].tolist() == wanted
        assert found[c].tolist() == [True] * len(wanted) + [False] * (9 - len(wanted))
    assert found.sum(1).tolist() == [8, 0, 9, 9]


def test_nothing_of_nothing():
    index, found = first_per_class(torch.full((3,), 2), torch.rand(3), 2, 2)
    assert not found.any()
    assert index.tolist() == [[0, 0], [0, 0]]


def test_cells_have_the_label_of_their_centre():
    """Of a coarser and a finer grid; what is padded has no label."""
    label = torch.arange(24).view(1, 4, 6)
    assert at_grid(label, (4, 6), (2, 2), IGNORE).tolist() == [[[7, 10], [19, 22]]]
    assert torch.equal(at_grid(label, (4, 6), (4, 6), IGNORE), label)
    finer = label.repeat_interleave(2, 1).repeat_interleave(2, 2)
    assert torch.equal(at_grid(label, (4, 6), (8, 12), IGNORE), finer)
    padded = at_grid(label, (8, 8), (4, 4), IGNORE)[0]
    assert (padded[2:] == IGNORE).all()
    assert (padded[:, 3] == IGNORE).all()
    assert padded[:2, :3].tolist() == [[7, 9, 11], [19, 21, 23]]
