import numpy as np
import pytest
import torch
from PIL import Image

from ssseg.data.datasets.base import ClassInfo
from ssseg.types import IGNORE, Picture
from ssseg.viz import (
    CELL,
    GAP,
    IGNORE_COLOR,
    LINE,
    SIDE,
    colorize,
    displayable,
    gallery,
    reduced,
)

CLASSES = (ClassInfo("road", (128, 64, 128)), ClassInfo("car", (0, 0, 180)))


def test_every_class_gets_its_color_and_ignore_its_own():
    out = colorize(np.array([[0, 1], [IGNORE, 0]]), CLASSES)
    assert out.dtype == np.uint8
    assert out[0, 0].tolist() == [128, 64, 128]
    assert out[0, 1].tolist() == [0, 0, 180]
    assert out[1, 0].tolist() == list(IGNORE_COLOR)


def test_normalisation_is_undone():
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3)).astype(np.float32) / 255
    mean, std = (0.4, 0.5, 0.6), (0.2, 0.3, 0.25)
    normalised = torch.from_numpy((pixels - np.float32(mean)) / np.float32(std)).permute(2, 0, 1)
    out = displayable(normalised, mean, std)
    assert np.abs(out.astype(int) - (pixels * 255).astype(int)).max() <= 1


def test_other_channel_counts_are_shown_in_gray():
    assert displayable(torch.rand(1, 4, 6), (0.5,), (0.25,)).shape == (4, 6, 3)
    out = displayable(torch.rand(5, 4, 6), (0.5,) * 5, (0.25,) * 5)
    assert (out[..., 0] == out[..., 2]).all()


def test_a_gallery_shows_the_pictures_it_is_given(tmp_path):
    columns = [
        Picture("input", "image", torch.full((2, 3, 40, 60), 2.0)),
        Picture("truth", "label", torch.ones(2, 40, 60, dtype=torch.long)),
        Picture("trusted", "mask", torch.ones(2, 40, 60)),
    ]
    path = tmp_path / "deep" / "sample.png"
    gallery(path, [("training", columns), ("nothing", [])], CLASSES, (0.5,) * 3, (0.25,) * 3)
    pixels = np.asarray(Image.open(path).convert("RGB")).reshape(-1, 3)
    blue = (pixels == (0, 0, 180)).all(1).mean()
    assert 0.1 < blue < 0.5


def test_pictures_keep_their_shape_and_stay_apart(tmp_path):
    """Crops are square, validation images wide; colours of classes blend into no others."""
    square = [Picture(str(i), "label", torch.ones(2, 30, 30, dtype=torch.long)) for i in range(3)]
    stripes = (torch.arange(80) % 2).expand(2, 40, 80)
    wide = [Picture("a title that is longer than the picture is wide", "label", stripes)]
    path = tmp_path / "sample.png"
    gallery(path, [("a", square), ("b", wide)], CLASSES, (0.5,) * 3, (0.25,) * 3)
    sheet = np.asarray(Image.open(path).convert("RGB"))
    blue = (sheet == (0, 0, 180)).all(-1)
    # each square is as wide as high, each wide one has half of its width in stripes
    assert blue.sum() == pytest.approx(2 * (3 * CELL**2 + CELL * CELL / 2 / 2), rel=0.02)
    assert blue[:, : CELL // 2].sum(1).max() <= CELL // 2
    seen = {tuple(color) for color in sheet[-2 * CELL :, : CELL + GAP].reshape(-1, 3)}
    assert all(color in seen for color in ((128, 64, 128), (0, 0, 180)))
    blends = [c for c in seen if len(set(c)) > 1]  # all but greys, which are text and frames
    assert set(blends) == {(128, 64, 128), (0, 0, 180)}


def test_a_mask_that_trusts_everything_can_be_seen(tmp_path):
    def drawn(*pictures):
        gallery(tmp_path / "one.png", [("a", pictures)], CLASSES, (0.5,) * 3, (0.25,) * 3)
        return np.asarray(Image.open(tmp_path / "one.png").convert("RGB"))

    other = Picture("other", "mask", torch.zeros(1, 20, 20))
    sheet = drawn(other, Picture("trusted", "mask", torch.ones(1, 20, 20)))
    right = sheet[4 * LINE : 4 * LINE + CELL // 2, CELL + 2 * GAP - 2 :]
    assert (right < 250).any(-1).sum() >= CELL // 2 - 1  # its left frame


def test_images_in_a_unit_of_their_own_can_be_seen():
    """Heights in metres are neither all black nor all white."""
    heights = torch.linspace(-2, 2, 50).expand(1, 40, 50)  # in deviations from their mean
    shown = displayable(heights, (812.0,), (95.0,))
    assert shown.shape == (40, 50, 3)
    assert (np.diff(shown[0, :, 0].astype(int)) > 0).all()
    assert shown.min() > 10
    assert shown.max() < 245


def test_large_pictures_are_reduced_and_small_ones_are_as_they_are():
    small = torch.rand(3, 40, SIDE)
    assert reduced(small) is small
    image = torch.arange(4.0).repeat_interleave(SIDE).expand(3, 2 * SIDE, 4 * SIDE)
    shown = reduced(image)
    assert shown.shape == (3, SIDE // 2, SIDE)
    assert shown[0, 0].tolist() == torch.arange(4.0).repeat_interleave(SIDE // 4).tolist()
    classes = torch.arange(4).repeat_interleave(SIDE).expand(2 * SIDE, 4 * SIDE)
    kept = reduced(classes)
    assert kept.dtype == torch.int64
    assert kept[0].tolist() == torch.arange(4).repeat_interleave(SIDE // 4).tolist()
