"""Drawn scenes of all kinds."""

import numpy as np
import pytest

from ssseg.data.datasets.objects import Objects
from ssseg.data.datasets.street import Street
from tests.data.trees import ids, scenes

DRAWN = pytest.mark.parametrize("cls", [Street, Objects])


def equal(first, second):
    return all(
        np.array_equal(a, b)
        for one, two in zip(first, second, strict=True)
        for a, b in zip(one, two, strict=True)
    )


@DRAWN
@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_a_scene_is_a_function_of_split_and_index(cls, split):
    expected = scenes(cls(), split)
    # another object with other counts, read backwards
    other = cls(train_images=12, val_images=13, test_images=14)
    for record in reversed(other.records(split)[:12]):
        other.read_mask(record)
    assert equal(scenes(other, split), expected)


@DRAWN
def test_no_scene_comes_twice(cls):
    source = cls()
    seen = [
        image.tobytes() for split in ("train", "val", "test") for image, _ in scenes(source, split)
    ]
    assert len(set(seen)) == len(seen)


@DRAWN
def test_scenes_are_images_with_class_ids(cls):
    source = cls()
    seen = np.zeros(source.num_classes, int)
    for image, mask in scenes(source, "train", 60):
        assert image.shape == (64, 64, 3)
        assert image.dtype == np.uint8
        assert image.std() > 5  # something is to be seen
        assert mask.shape == (64, 64)
        assert mask.dtype == np.uint8
        assert mask.max() < source.num_classes
        seen += np.bincount(mask.ravel(), minlength=source.num_classes) > 0
    assert (seen >= 5).all(), dict(zip([c.name for c in source.classes], seen, strict=True))


@DRAWN
def test_drawing_leaves_global_random_states_alone(cls, global_states):
    scenes(cls(), "train")
    assert global_states()


@DRAWN
@pytest.mark.parametrize("size", [16, 33, 96])
def test_other_sizes(cls, size):
    source = cls(size=size)
    assert source.crop_size == (size, size)
    for image, mask in scenes(source, "val", 4):
        assert image.shape == (size, size, 3)
        assert mask.shape == (size, size)


@DRAWN
def test_records_of_drawn_scenes(cls):
    source = cls(train_images=20, val_images=3, test_images=0)
    assert [len(source.records(split)) for split in ("train", "val", "test")] == [20, 3, 0]
    assert len(set(ids(source.records("train") + source.records("val")))) == 23
    assert source.records("train") == source.records("train")
    assert source.unlabeled() == []
    assert source.num_classes == len({c.name for c in source.classes})
    assert len({c.color for c in source.classes}) == source.num_classes
