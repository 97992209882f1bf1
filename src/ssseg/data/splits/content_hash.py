"""A hash of the labeled set, and its number of pixels of each class."""

import hashlib
from typing import NamedTuple

import numpy as np

from ssseg.data.datasets.base import Record, Source
from ssseg.data.reading import in_threads, kept_of


class Contents(NamedTuple):
    """Hash and class counts of a labeled set."""

    hash: str
    """Hash of image ids and mask contents; it is equal for equal splits only."""
    pixels: list[int]
    """Number of pixels of each class."""


def contents(source: Source, records: list[Record]) -> Contents:
    """Hash and class counts, from the masks or from an earlier run (see `reading.kept_of`)."""

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
    """A hash of image ids and mask contents, 12 hexadecimal digits; equal for equal splits only."""
    return contents(source, records).hash
