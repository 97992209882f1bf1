"""What every data set can say although it says nothing of its own."""

import numpy as np
import pytest

from ssseg.data.datasets.base import ClassInfo, Record, Source, crop_within, pixels_in


class Two(Source):
    name = "two"
    classes = (ClassInfo("a", (0, 0, 0)), ClassInfo("b", (1, 1, 1)))

    def records(self, split):
        return [Record("x", 0, 0)]

    def read_image(self, record):
        return np.array([[[1.0], [np.nan]], [[2.0], [3.0]]], np.float32)

    def read_mask(self, record):
        return np.array([[1, 1], [0, 255]], np.uint8)


def test_what_must_be_written():
    with pytest.raises(TypeError, match=r"read_image.*read_mask.*records"):
        Source()


def test_what_follows_from_it():
    source, record = Two(), Record("x", 0, 0)
    assert source.num_classes == 2
    assert source.pixels_of(record) == [(0, 1), (1, 2), (255, 1)]
    gaps = source.gaps(record, source.read_image(record))
    assert gaps.tolist() == [[False, True], [False, False]]
    whole = np.zeros((2, 2, 3), np.uint8)
    assert source.gaps(record, whole) is None
    assert (source.unlabeled(), source.notices(), source.protocols()) == ([], [], {})
    assert source.size_of(record) is None
    assert source.meaning is None


def test_pixels_are_counted_by_id():
    mask = np.random.default_rng(0).integers(0, 256, (40, 50), np.uint8)
    counted = dict(pixels_in(mask))
    assert counted == {int(i): int((mask == i).sum()) for i in np.unique(mask)}
    assert all(type(number) is int for pair in pixels_in(mask) for number in pair)


@pytest.mark.parametrize(
    ("size", "crop"),
    [
        (None, (256, 256)),
        ((3000, 4000), (256, 256)),
        ((180, 240), (160, 224)),
        ((400, 100), (256, 96)),
        ((20, 33), (64, 64)),
    ],
)
def test_crops_are_no_larger_than_small_images(size, crop):
    assert crop_within(size, (256, 256)) == crop
