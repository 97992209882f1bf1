import pytest
import torch
import torch.nn.functional as F

from ssseg.losses import class_info_nce
from tests.spread import seeded

CLASSES, COUNT, SIZE, WIDTH = 3, 2, 4, 5


@pytest.fixture
def case():
    """One class has one key, so that its anchor has no positive but itself."""
    g = seeded()
    anchors = F.normalize(torch.randn(CLASSES, COUNT, WIDTH, generator=g).double(), dim=2)
    keys = F.normalize(torch.randn(CLASSES, SIZE, WIDTH, generator=g).double(), dim=2)
    used = torch.tensor([[True, True], [True, False], [True, False]])
    filled = torch.tensor([[True] * 4, [True, True, True, False], [True, False, False, False]])
    own = torch.tensor([[0, 1], [1, 0], [0, 0]])
    return anchors.requires_grad_(), used, keys, filled, own


def one_by_one(anchors, used, keys, filled, own, temperature):
    found = []
    for c, k in used.nonzero().tolist():
        places = [(d, s) for d, s in filled.nonzero().tolist() if (d, s) != (c, int(own[c, k]))]
        scores = {p: (anchors[c, k] @ keys[p]) / temperature for p in places}
        positive = [score for (d, _), score in scores.items() if d == c]
        if positive:
            everything = torch.stack(list(scores.values())).logsumexp(0)
            found.append(everything - torch.stack(positive).logsumexp(0))
    return torch.stack(found).mean(), len(found)


def test_it_is_the_formula_without_the_copy_of_the_anchor(case):
    wanted, count = one_by_one(*case, 0.2)
    assert count == 3
    found = class_info_nce(*case, temperature=0.2)
    torch.testing.assert_close(found, wanted)
    ours, theirs = (torch.autograd.grad(loss, case[0])[0] for loss in (found, wanted))
    torch.testing.assert_close(ours, theirs)


def test_permuting_the_ids_of_classes_changes_nothing(case):
    order = torch.tensor([2, 0, 1])
    other = [part[order] for part in case]
    torch.testing.assert_close(class_info_nce(*case), class_info_nce(*other))


def test_it_falls_when_features_of_a_class_are_pulled_together(case):
    anchors, used, keys, filled, own = case
    centre = torch.eye(WIDTH, dtype=torch.float64)[:CLASSES, None]
    values = []
    for share in (0.0, 0.5, 0.9):
        pulled = [F.normalize((1 - share) * t + share * centre, dim=2) for t in (anchors, keys)]
        values.append(class_info_nce(pulled[0], used, pulled[1], filled, own).item())
    assert values == sorted(values, reverse=True)
    assert values[-1] < 0.2 * values[0]


def test_without_anchors_it_is_zero_and_so_is_its_gradient(case):
    anchors, used, keys, filled, own = case
    for nobody in ((~used & used, filled), (used, filled & ~filled)):
        loss = class_info_nce(anchors, nobody[0], keys, nobody[1], own)
        (grad,) = torch.autograd.grad(loss, anchors)
        assert loss == 0
        assert (grad == 0).all()
