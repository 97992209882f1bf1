from pathlib import Path

import numpy as np

from ssseg.data.datasets.base import ClassInfo, Record, Source
from ssseg.data.splits.labeled_split import split_labeled


def some(count):
    return [Record(f"img_{i:04}", Path(f"{i}.jpg"), Path(f"{i}.png")) for i in range(count)]


class Painted(Source):
    """Images whose masks show the classes that a table says; nothing is read from anywhere."""

    name = "painted"
    in_memory = True

    def __init__(self, presence, protocols=None):
        self.presence = np.asarray(presence, bool)
        self.classes = [ClassInfo(f"c{i}", (0, 0, 0)) for i in range(self.presence.shape[1])]
        self.named = protocols or {}
        self.reads = 0

    def records(self, split):
        return some(len(self.presence)) if split == "train" else []

    def protocols(self):
        return self.named

    def read_image(self, record):
        raise AssertionError("no choice looks at images")

    def read_mask(self, record):
        self.reads += 1
        classes = np.flatnonzero(self.presence[int(record.id.removeprefix("img_"))])
        return np.array([[255, *classes]], np.uint8)

    def split(self, wanted, seed=0, select="random"):
        return split_labeled(self.records("train"), wanted, seed, select, self)

    def shown(self, split):
        """In how many labeled images each class occurs."""
        places = [int(record.id.removeprefix("img_")) for record in split.labeled]
        return self.presence[places].sum(0)


def voc_like(images=400, seed=0):
    """A background everywhere, common and rare classes, one in a single image, one in none."""
    rng = np.random.default_rng(seed)
    presence = rng.random((images, 12)) < [1, 0.5, 0.4, 0.3, 0.2, 0.1, 0.05, 0.02, 0.01, 0.01, 0, 0]
    presence[rng.integers(images), 10] = True
    return presence
