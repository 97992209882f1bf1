"""Perturbations of features against plain loops."""

import pytest
import torch

from ssseg.ops.perturb import feature_drop, feature_noise, foreground_box


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def feats():
    return torch.rand(3, 4, 6, 5, generator=seeded(5)) + 0.1


def test_noise_is_a_share_of_the_features(feats):
    share = feature_noise(feats, generator=seeded()) / feats - 1
    assert share.abs().max() <= 0.3 + 1e-6
    assert share.abs().max() > 0.25
    assert abs(share.mean()) < 0.05
    assert share.flatten().unique().numel() == share.numel()


def test_the_most_active_positions_are_dropped(feats):
    out = feature_drop(feats, (0.8, 0.8), generator=seeded())
    for image, found in zip(feats, out, strict=True):
        mean = image.mean(0)
        for y in range(6):
            for x in range(5):
                active = mean[y, x] > 0.8 * mean.max()
                assert torch.equal(found[:, y, x], image[:, y, x] * (not active))
    assert (out == 0).any()


@pytest.mark.parametrize(("share", "dropped"), [((1.0, 1.0), 0), ((0.0, 0.0), 30)])
def test_the_share_decides_how_many_positions_are_dropped(feats, share, dropped):
    out = feature_drop(feats, share, generator=seeded())
    assert ((out == 0).all(1).flatten(1).sum(1) == dropped).all()


def test_a_rectangle_lies_in_the_bounding_box_of_the_foreground():
    foreground = torch.zeros(200, 20, 30, dtype=torch.bool)
    foreground[:, 4, 10] = foreground[:, 13, 24] = True
    foreground[0] = False
    boxes = foreground_box(foreground, generator=seeded())[:, 0]
    assert not boxes[0].any()
    assert not boxes[:, :4].any()
    assert not boxes[:, 14:].any()
    assert not boxes[:, :, :10].any()
    assert not boxes[:, :, 25:].any()
    rows, columns = boxes[1:].any(2), boxes[1:].any(1)
    assert torch.equal(boxes[1:], rows[:, :, None] & columns[:, None, :])
    assert (rows.sum(1) == 4).all()  # 0.4 of 10
    assert (columns.sum(1) == 6).all()  # 0.4 of 15
    # every place occurs, the first and the last one too
    assert set(rows.byte().argmax(1).tolist()) == set(range(4, 11))
    assert set(columns.byte().argmax(1).tolist()) == set(range(10, 20))
