"""Levels of classes against sorted lists of confidences."""

import math

import pytest
import torch

from ssseg.ops.histogram import class_levels, confidence_histogram

BINS = 1000


@pytest.fixture(scope="module")
def pixels():
    """Classes of different sizes and confidences; class 3 has no valid pixel, class 4 none."""
    g = torch.Generator().manual_seed(0)
    hard = torch.randint(0, 4, (2, 30, 30), generator=g)
    conf = torch.rand(2, 30, 30, generator=g) * torch.tensor([1.0, 0.6, 0.3, 1.0])[hard]
    conf[0, 0, 0] = 1.0
    valid = (torch.rand(2, 30, 30, generator=g) < 0.8) & (hard != 3)
    return conf, hard, valid


def test_the_histogram_counts_valid_pixels_of_every_class(pixels):
    counts = confidence_histogram(*pixels, 5, 10)
    for c in range(5):
        mine = pixels[0][pixels[2] & (pixels[1] == c)]
        wanted = torch.histc(mine, bins=10, min=0, max=1) if len(mine) else torch.zeros(10)
        assert counts[c].tolist() == wanted.tolist()


@pytest.mark.parametrize("share", [0.2, 0.6, 1.0])
def test_a_level_keeps_the_most_confident_share_of_every_class(pixels, share):
    """Of rare and unsure classes as well: one threshold for all would drop these."""
    conf, hard, valid = pixels
    levels = class_levels(confidence_histogram(*pixels, 5, BINS).float(), share)
    for c in range(3):
        mine = conf[valid & (hard == c)].sort(descending=True).values
        last = mine[math.ceil(share * len(mine) - 1e-4) - 1]
        assert last - 1.5 / BINS <= levels[c] <= last + 1e-6
    assert levels[3:].tolist() == [0, 0]
    assert levels[0] > levels[1] > levels[2] or share == 1


def test_equal_histograms_have_equal_levels_and_a_share_of_less_than_a_pixel_has_none():
    counts = torch.zeros(3, 10)
    counts[:2, 4:8] = 5.0
    counts[2, 9] = 2.0
    levels = class_levels(counts, 0.4)
    assert levels[0] == levels[1] == pytest.approx(0.6)
    assert levels[2] == 0
