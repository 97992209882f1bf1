"""Draws folders of images and masks as people have them."""

import numpy as np

from ssseg.data.datasets.pairs import Pairs
from ssseg.data.module import SegmentationData
from tests.data.trees import draw_mask, paint, save


def mask(number, classes=3):
    """8 x 8 blocks; every class is in each."""
    found = draw_mask(np.random.default_rng(number), num_classes=classes)
    found[:8, :8], found[:8, 8:16], found[:8, 16:24] = 0, 1, min(2, classes - 1)
    return found


def photographs(folder, names, ending=".png", first=0):
    for number, name in enumerate(names, first):
        save(paint(mask(number)), folder / f"{name}{ending}")


def masks_of(folder, names, write=lambda ids: ids, ending=".png"):
    for number, name in enumerate(names):
        save(write(mask(number)), folder / f"{name}{ending}")


def usual(root, labeled=10, unlabeled=4, naming="{}", ending=".png", write=lambda ids: ids):
    """`photos/` of a0, a1, ... and u0, ..., and `masks/` of the first ones."""
    names = [f"a{number}" for number in range(labeled)]
    photographs(root / "photos", names, ending)
    photographs(root / "photos", [f"u{number}" for number in range(unlabeled)], ending, 100)
    masks_of(root / "masks", [naming.format(name) for name in names], write)
    return root


def opened(root, **options):
    told = {"images": str(root / "photos"), "masks": str(root / "masks"), **options}
    return Pairs(**{name: value for name, value in told.items() if value is not ...})


def prepared(source, num_views=2):
    """A run would start."""
    options = {"crop_size": 16, "num_workers": 0, "unlabeled_batch_size": 1}
    data = SegmentationData(source, num_views=num_views, **options)
    data.prepare("fit", num_views)
    return data


def sound(source, count=10):
    """Every mask is read as the ids that it was drawn of, and a run would start."""
    found = [*source.records("train"), *source.records("val")]
    assert len(found) == count
    for record in found:
        number = int(record.id.rpartition("/")[2].strip("abcdefghijklmnopqrstuvwxyz_é "))
        assert np.array_equal(source.read_mask(record), mask(number)), record
    prepared(source)
    return source
