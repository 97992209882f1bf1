"""What is known of a data set once it is opened, and of a batch once it is drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ssseg.data.datasets.base import ClassInfo, Pixels
from ssseg.types import Batch

if TYPE_CHECKING:
    from ssseg.data.module import SegmentationData


class DataInfo(NamedTuple):
    """The data that a network was trained on, as checkpoints, model files and exports describe it.

    `ssseg.serialization.to_plain` writes it, `from_plain` reads it.
    """

    name: str
    classes: Sequence[ClassInfo]
    """Name and colour of each class, by its id."""
    in_channels: int
    pixels: Pixels
    """The kind of values in the image files."""
    mean: tuple[float, ...]
    std: tuple[float, ...]
    """Of each channel, of values from 0 to 1 (floats: as in the files)."""
    image_size: tuple[int, int] | None
    """Height and width that images are resized to; None: they keep their own."""
    crop_size: tuple[int, int]
    """Height and width of the training crops."""
    split: str
    split_hash: str
    """Of the ids and contents of the labeled images."""

    @classmethod
    def from_plain(cls, saved: Mapping[str, Any]) -> DataInfo:
        """The description that a file holds.

        Args:
            saved: What `to_plain` made of a `DataInfo`.

        Raises:
            KeyError: Where a field is missing.
        """
        size, crop = saved["image_size"], saved["crop_size"]
        return cls(
            saved["name"],
            [ClassInfo(one["name"], tuple(one["color"])) for one in saved["classes"]],
            saved["in_channels"],
            saved["pixels"],
            tuple(saved["mean"]),
            tuple(saved["std"]),
            None if size is None else (size[0], size[1]),
            (crop[0], crop[1]),
            saved["split"],
            saved["split_hash"],
        )


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
