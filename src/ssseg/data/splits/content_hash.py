"""A hash of what labeled images and masks contain, and their pixels of each class."""

import hashlib
from typing import NamedTuple

import numpy as np

from ssseg.data.datasets.base import Record, Source
from ssseg.data.reading import in_threads, kept_of


class Contents(NamedTuple):
    """What a labeled set holds."""

    hash: str
    """Of ids and masks: equal hash, equal split."""
    pixels: list[int]
    """Of each class."""


def contents(source: Source, records: list[Record]) -> Contents:
    """Reads the masks of a labeled set, unless an earlier run has, see `reading.kept`."""

    def found() -> Contents:
        digest = hashlib.sha256()
        pixels = np.zeros(256, np.int64)
        masks = in_threads(source.read_mask, records)
        for record, mask in zip(records, masks, strict=True):
            digest.update(f"{record.id} {mask.shape}".encode())
            digest.update(np.ascontiguousarray(mask).tobytes())
            pixels += np.bincount(mask.ravel(), minlength=256)
        return Contents(digest.hexdigest()[:12], pixels[: source.num_classes].tolist())

    return Contents(*kept_of(source, "contents", records, found))


def content_hash(source: Source, records: list[Record]) -> str:
    """A short hash of the ids and mask contents of a labeled set: equal hash, equal split."""
    return contents(source, records).hash
