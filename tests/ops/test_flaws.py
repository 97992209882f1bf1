"""Maps of flaws: what they are of perfect, wrong and unlabeled predictions."""

import math

import pytest
import torch
from torch.nn.functional import one_hot

from ssseg.ops.flaws import cleaned, flaw_truth, smooth, stretched
from ssseg.types import IGNORE


@pytest.fixture(scope="module")
def label():
    return torch.randint(0, 3, (2, 24, 40), generator=torch.Generator().manual_seed(0))


def perfect(label):
    return one_hot(label.where(label != IGNORE, 0), 3).movedim(3, 1).float()


def test_a_blur_is_the_weighted_mean_of_a_plain_loop():
    """A side of 40 in 8 parts: 5 values with a standard deviation of 1.1."""
    maps = torch.rand(1, 40, 48, generator=torch.Generator().manual_seed(1))
    weights = {
        (dy, dx): math.exp(-(dy**2 + dx**2) / (2 * 1.1**2))
        for dy in range(-2, 3)
        for dx in range(-2, 3)
    }
    out = smooth(maps, 8)
    for y, x in ((2, 2), (20, 30), (37, 45)):
        total = sum(w * maps[0, y + dy, x + dx] for (dy, dx), w in weights.items())
        torch.testing.assert_close(out[0, y, x], total / sum(weights.values()))
    torch.testing.assert_close(smooth(torch.ones(1, 5, 3), 1), torch.ones(1, 5, 3))


def test_a_perfect_prediction_has_no_flaw(label):
    assert not flaw_truth(perfect(label), label).any()


def test_flaws_surround_wrong_pixels(label):
    wrong = label.clone()
    wrong[0, 4:8, 4:8] = (wrong[0, 4:8, 4:8] + 1) % 3
    found = flaw_truth(perfect(wrong), label)
    assert found[0].min() == 0
    assert found[0].max() == 1
    assert found[0, 4:8, 4:8].min() > 0.5
    assert found[0, 5, 10] > found[0, 5, 20]
    assert not found[1].any()


def test_what_is_predicted_at_ignored_pixels_is_no_flaw(label):
    ignored = label.clone()
    ignored[:, :, 20:] = IGNORE
    probs = perfect(label).clone()
    before = flaw_truth(probs, ignored)
    probs[:, :, :, 20:] = probs[:, :, :, 20:].roll(1, 1)
    assert torch.equal(flaw_truth(probs, ignored), before)


def test_detected_flaws_are_comparable():
    flaws = torch.randn(3, 32, 32, generator=torch.Generator().manual_seed(2)).requires_grad_()
    flaws = torch.stack([flaws[0], 0.01 * flaws[1], 50 * flaws[2]])
    counted = torch.ones(3, 32, 32, dtype=torch.bool)
    counted[:, :, 30:] = False
    out = cleaned(flaws, counted)
    assert not out.requires_grad
    assert not out[:, :, 30:].any()
    assert not out[1].any()  # nothing above 0.1
    for image in (0, 2):
        assert out[image][counted[image]].min() >= 0
        assert 0.9 < out[image].max() <= 1


def test_a_constant_map_has_no_flaw_although_a_blur_rounds():
    """A detector whose only position is enlarged to the image."""
    maps = torch.tensor([0.3, 0.7]).view(2, 1, 1).expand(2, 64, 64)
    assert not cleaned(maps, torch.ones(2, 64, 64, dtype=torch.bool)).any()


@pytest.mark.parametrize("size", [(1, 1), (2, 5), (3, 30)])
def test_maps_of_any_size(size):
    assert (
        flaw_truth(torch.rand(1, 3, *size).softmax(1), torch.zeros(1, *size).long())
        .isfinite()
        .all()
    )
    assert cleaned(torch.rand(1, *size), torch.ones(1, *size) > 0).isfinite().all()
    assert not stretched(torch.full((1, *size), 3.0)).any()
