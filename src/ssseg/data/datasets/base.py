"""The interface of data sets: classes, records, images and masks."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ssseg.data.nodata import gaps_of

Split = Literal["train", "val", "test"]
Pixels = Literal["uint8", "uint16", "float"]
Array = NDArray[Any]
UNIT = 32
"""Pixels by whose multiples small crops are sized: encoders reduce images by 32."""


class ClassInfo(NamedTuple):
    """Name and colour of a class; the id of a class is its index in the list of classes."""

    name: str
    color: tuple[int, int, int]


class Record(NamedTuple):
    """An image and its mask."""

    id: str
    """Name of the image; unique among the training images."""
    image: Path | int
    """The file, or the index of a drawn scene."""
    mask: Path | int | None = None
    """As `image`; None without a mask."""


class Source(ABC):
    """The base class of data sets. It does not depend on batches, views or training."""

    name: str
    """Short name, for run folders and tables."""
    classes: Sequence[ClassInfo]
    in_channels: int = 3
    pixels: Pixels = "uint8"
    """Kind of the stored values. `uint16` is read as float32 in [0, 1], `float` as float32."""
    endings: Sequence[str] = ()
    """Suffixes after the id in file names, e.g. `_leftImg8bit`; list files may contain them."""
    labeled: str | None = None
    """Default of `--data.labeled`; None: all training images are labeled."""
    crop_size: tuple[int, int] = (256, 256)
    """Default height and width of training crops, in pixels."""
    scale: tuple[float, float] = (0.75, 1.5)
    """Default range of the random scale."""
    rotation: float = 0.0
    """Default of the largest angle of the random rotation, in degrees."""
    batch_size: int = 4
    """Default number of labeled images per step."""
    network: str | None = None
    """Name of the default network; None: `ssseg.models.networks.usual_network` names it."""
    explains_values: bool = False
    """Whether the class list maps values in masks to classes; else a value is a class index."""
    in_memory: bool = False
    """Whether images are in memory, so that worker processes would only take time."""

    @abstractmethod
    def records(self, split: Split) -> list[Record]:
        """The images with masks of a split, in a fixed order; empty if the split does not exist."""

    def unlabeled(self) -> list[Record]:
        """Images without masks that are used in addition to unlabeled training images."""
        return []

    def notices(self) -> list[str]:
        """Messages about the files, e.g. about files that are not read; called once per run."""
        return []

    def choices(self) -> list[str]:
        """What the source chose for want of being told, e.g. validation images."""
        return []

    def split_document(self) -> dict[str, Any] | None:
        """Which images the source chose for what, for `split.json`; None where files say it."""
        return None

    def protocols(self) -> Mapping[str, list[str]]:
        """Published protocols by name, with the ids of their labeled images."""
        return {}

    @abstractmethod
    def read_image(self, record: Record) -> Array:
        """The image, (H, W, C) uint8, or float32 if `pixels` is not `uint8`.

        Float images are NaN where they have no data.
        """

    def gaps(self, record: Record, image: Array) -> Array | None:
        """Pixels without data; they are invalid in training and evaluation.

        Args:
            record: The record of the image.
            image: The result of `read_image`.

        Returns:
            (H, W) bool, True without data; None if every pixel has data.
        """
        return gaps_of(image)

    @abstractmethod
    def read_mask(self, record: Record) -> Array:
        """The class ids, (H, W) uint8; 255 = ignore."""

    def check(self, records: list[Record]) -> None:  # noqa: B027 (optional)
        """Check images and masks before training; raises UserError for files that cannot be used.

        Args:
            records: The records to check.
        """

    def pixels_of(self, record: Record) -> list[tuple[int, int]]:
        """The ids in a mask with their number of pixels."""
        return pixels_in(self.read_mask(record))

    def size_of(self, record: Record) -> tuple[int, int] | None:
        """Height and width of an image; None if the image must be decoded to know them."""
        return None

    def use_cache(self, folder: Path) -> None:  # noqa: B027 (optional)
        """Cache decoded images and masks in a folder; no effect for data in memory."""

    @property
    def meaning(self) -> str | None:
        """All settings that affect the values read from the files, as a text.

        Results of reading the files are kept for later runs under this text. None: they are not
        kept.
        """
        return None

    @property
    def num_classes(self) -> int:
        """Number of classes without ignore."""
        return len(self.classes)


def pixels_in(mask: Array) -> list[tuple[int, int]]:
    """The ids in a mask (H, W) uint8 with their number of pixels."""
    numbers = np.bincount(mask.ravel(), minlength=256)
    return [(int(i), int(numbers[i])) for i in np.flatnonzero(numbers)]


def crop_within(size: tuple[int, int] | None, crop: tuple[int, int]) -> tuple[int, int]:
    """A size of crops that images need little or no padding for.

    Sides of smaller images are rounded down to multiples of `UNIT`, at least two of them.

    Args:
        size: Height and width of the images; None: not known.
        crop: Height and width of crops of large images.

    Returns:
        Height and width.
    """
    if size is None:
        return crop
    height, width = (
        min(most, max(side // UNIT, 2) * UNIT) for side, most in zip(size, crop, strict=True)
    )
    return height, width
