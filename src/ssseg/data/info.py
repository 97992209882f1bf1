"""What is known of a data set once it is opened, and of a batch once it is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ssseg.data.datasets.base import ClassInfo, Pixels
from ssseg.types import Batch

if TYPE_CHECKING:
    from ssseg.data.module import SegmentationData


class DataInfo(NamedTuple):
    """What a trained network must remember of its data; plain values only."""

    name: str
    classes: Sequence[ClassInfo]
    in_channels: int
    pixels: Pixels
    mean: tuple[float, ...]
    std: tuple[float, ...]
    image_size: tuple[int, int] | None
    crop_size: tuple[int, int]
    split: str
    split_hash: str


class DrawnBatch(NamedTuple):
    """A training batch, and which images it is of."""

    batch: Batch
    labeled: list[str]
    """Ids, in their order."""
    unlabeled: list[str]


def info_of(data: SegmentationData) -> DataInfo:
    """What a checkpoint remembers of its data."""
    source = data.source
    return DataInfo(
        source.name,
        source.classes,
        source.in_channels,
        source.pixels,
        data.mean,
        data.std,
        data.image_size,
        data.crop_size,
        data.split.name,
        data.split_hash,
    )


def summary_of(data: SegmentationData) -> dict[str, Any]:
    """Name, hash and sizes of the split, for the summary of a run; plain values only."""
    return {
        "name": data.source.name,
        "split": data.split.name,
        "split_hash": data.split_hash,
        "labeled": len(data.split.labeled),
        "unlabeled": len(data.unlabeled),
        "val": len(data.source.records("val")),
        "classes": [{"name": c.name, "color": list(c.color)} for c in data.source.classes],
        "labeled_pixels": data.contents.pixels,
        "image_size": data.image_size,
        "crop_size": data.crop_size,
        "batch_size": data.batch_size,
        "unlabeled_batch_size": data.unlabeled_batch_size,
        "augmentation": {
            "scale": list(data.scale),
            "flip": data.flip,
            "rotation": data.rotation,
            "jitter": data.jitter,
        },
        "mean": list(data.mean),
        "std": list(data.std),
        "reuse_labeled": data.reuse_labeled,
    }
