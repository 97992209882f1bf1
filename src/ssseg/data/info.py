"""Descriptions of the data of a run: for checkpoints, for summaries, and of a batch."""

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
    """Mean per channel for the normalisation, in [0, 1] (float images: in the unit of the file)."""
    std: tuple[float, ...]
    """Standard deviation per channel, in the unit of `mean`."""
    image_size: tuple[int, int] | None
    """Height and width to which images are resized; None: images are not resized."""
    crop_size: tuple[int, int]
    """Height and width of the training crops."""
    split: str
    """Name of the split."""
    split_hash: str
    """Hash of the ids and masks of the labeled images."""

    @classmethod
    def from_plain(cls, saved: Mapping[str, Any]) -> DataInfo:
        """Make a `DataInfo` from plain data.

        Args:
            saved: The result of `to_plain` for a `DataInfo`.

        Raises:
            KeyError: If a field is missing.
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
    """A training batch with the ids of its images."""

    batch: Batch
    labeled: list[str]
    """Ids of the labeled images, in the order of the batch."""
    unlabeled: list[str]
    """Ids of the unlabeled images, in the order of the batch."""


def info_of(data: SegmentationData) -> DataInfo:
    """The description of the data that is saved in checkpoints."""
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
            # absent if usual, as in runs before there was a choice
            **({} if data.strong == "jitter" else {"strong": data.strong}),
        },
        "mean": list(data.mean),
        "std": list(data.std),
        "reuse_labeled": data.reuse_labeled,
    }
