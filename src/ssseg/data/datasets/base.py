"""What a data set must be able to say: its classes, its records, its pixels."""

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


class ClassInfo(NamedTuple):
    """A class: its id is its place in the list."""

    name: str
    color: tuple[int, int, int]


class Record(NamedTuple):
    """One image, and its mask where there is one."""

    id: str
    image: Path | int
    mask: Path | int | None = None


class Source(ABC):
    """Where images and masks come from. Knows nothing of batches, views or training."""

    name: str
    """Short name, for run folders and tables."""
    classes: Sequence[ClassInfo]
    in_channels: int = 3
    pixels: Pixels = "uint8"
    """How images are stored. `uint16` is read as float32 in [0, 1], `float` as float32 as it is."""
    endings: Sequence[str] = ()
    """What file names may have after the id of an image, e.g. `_leftImg8bit`; lists keep it."""
    labeled: str | None = None
    """How many training images are labeled unless the user says otherwise; None for all."""
    crop_size: tuple[int, int] = (256, 256)
    """Height and width of training crops unless the user says otherwise."""
    scale: tuple[float, float] = (0.75, 1.5)
    """Range of the random scale unless the user says otherwise."""
    rotation: float = 0.0
    """Largest angle of the random rotation, in degrees, unless the user says otherwise."""
    batch_size: int = 4
    """Labeled images per step unless the user says otherwise."""
    network: str = "unet"
    """Name of the network that suits these images unless the user says otherwise."""
    explains_values: bool = False
    """Whether the class list says which value in masks means what, and not its place alone."""
    in_memory: bool = False
    """Whether reading costs nothing, so that worker processes would only cost time."""

    @abstractmethod
    def records(self, split: Split) -> list[Record]:
        """The images with masks of a split, in a fixed order; empty where there is none."""

    def unlabeled(self) -> list[Record]:
        """Images that come without masks, besides the training images left unlabeled."""
        return []

    def notices(self) -> list[str]:
        """What a person should know of the files, e.g. which are left out; asked once per run."""
        return []

    def protocols(self) -> Mapping[str, list[str]]:
        """Ids of the labeled images of published protocols that the data set's own lists name."""
        return {}

    @abstractmethod
    def read_image(self, record: Record) -> Array:
        """The image, (H, W, C): uint8, or float32 where `pixels` is another kind.

        NaN where there is no data.
        """

    def gaps(self, record: Record, image: Array) -> Array | None:
        """Where an image has no data, which makes pixels invalid.

        Args:
            record: Of the image.
            image: As `read_image` gives it.

        Returns:
            (H, W) bool; None where every pixel has data.
        """
        return gaps_of(image)

    @abstractmethod
    def read_mask(self, record: Record) -> Array:
        """The class ids, (H, W) uint8; 255 = ignore."""

    def check(self, records: list[Record]) -> None:  # noqa: B027 (nothing to check is fine)
        """Look at masks before training time is spent; raises UserError for what cannot work."""

    def pixels_of(self, record: Record) -> list[tuple[int, int]]:
        """The ids in a mask, each with its pixels."""
        return pixels_in(self.read_mask(record))

    def size_of(self, record: Record) -> tuple[int, int] | None:
        """Height and width of an image where that is known without decoding it."""
        return None

    def use_cache(self, folder: Path) -> None:  # noqa: B027 (data in memory need none)
        """Keep decoded images and masks in a folder, where that saves time."""

    @property
    def meaning(self) -> str | None:
        """All that decides what is read from its files, besides the files.

        None where that is not known: nothing that was found in them is kept for later runs.
        """
        return None

    @property
    def num_classes(self) -> int:
        """Number of classes, ignore not counted."""
        return len(self.classes)


def pixels_in(mask: Array) -> list[tuple[int, int]]:
    """The ids in a mask (H, W) uint8, each with its pixels."""
    numbers = np.bincount(mask.ravel(), minlength=256)
    return [(int(i), int(numbers[i])) for i in np.flatnonzero(numbers)]
