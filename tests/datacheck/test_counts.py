"""Counts of a set against plain arithmetic."""

import pytest

from ssseg.data.datasets.base import Record
from ssseg.datacheck.counts import counts_of, describe, of_role, propose_crop
from ssseg.datacheck.masks import MaskFacts
from ssseg.datacheck.scan import ImageFacts, ScannedImage
from ssseg.types import IGNORE


def image(height, width, channels=3, kind="PNG"):
    return ImageFacts(height, width, channels, "uint8", kind, 1, "")


def mask(**pixels):
    counts = [0] * 256
    for name, number in pixels.items():
        counts[IGNORE if name == "ignored" else int(name[1:])] = number
    return MaskFacts(1, sum(counts), tuple(counts), {}, {}, False, {})


def seen(role="labeled", image=None, mask=None):
    return ScannedImage(role, Record("a", 0), image, mask, ())


def test_masks_are_added_up():
    counts = counts_of(
        [seen(mask=mask(c0=6, c2=2, ignored=4)), seen(mask=mask(c2=8)), seen(mask=None)]
    )
    assert (counts.pixels[0], counts.pixels[1], counts.pixels[2]) == (6, 0, 10)
    assert (counts.images[0], counts.images[1], counts.images[2]) == (1, 0, 2)
    assert (counts.total, counts.ignored) == (20, 4)
    assert counts.share(0) == pytest.approx(6 / 16)
    assert counts.share(1) == 0


def test_shares_of_nothing_are_unknown():
    assert counts_of([]).share(0) is None
    assert counts_of([seen(mask=mask(ignored=5))]).share(0) is None


def test_sizes_are_ordered_by_area_and_kinds_are_counted():
    pictures = [image(10, 90), image(30, 20), image(40, 40, 1, "JPEG"), image(25, 30)]
    found = describe([*(seen(image=one) for one in pictures), seen(image=None)])
    assert (found["images"], found["readable"], found["masks"]) == (5, 4, 0)
    assert (found["smallest"], found["median"], found["largest"]) == ([30, 20], [25, 30], [40, 40])
    assert found["channels"] == {"3": 3, "1": 1}
    assert found["formats"] == {"PNG": 3, "JPEG": 1}
    assert found["ignored"] is None
    assert describe([])["smallest"] is None


@pytest.mark.parametrize(
    ("sides", "crop"),
    [([100], 96), ([64, 96, 320], 96), ([20, 20], 32), ([2000], 512), ([95, 97], 64)],
)
def test_the_crop_is_a_multiple_of_32_that_half_of_the_images_fill(sides, crop):
    pictures = [seen("unlabeled", image(side, 2 * side)) for side in sides]
    assert propose_crop([*pictures, seen("val", image(500, 500))]) == (crop, crop)


def test_without_training_images_there_is_no_crop():
    assert propose_crop([seen("val", image(500, 500)), seen(image=None)]) is None


def test_sets_are_told_apart():
    all_of_them = [seen("labeled"), seen("val"), seen("labeled")]
    assert of_role(all_of_them, "labeled") == [all_of_them[0], all_of_them[2]]
    assert of_role(all_of_them, "test") == []
