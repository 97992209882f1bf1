"""What is known of a data set once it is opened, and of a batch once it is drawn."""

from collections.abc import Sequence
from typing import NamedTuple

from ssseg.data.datasets.base import ClassInfo, Pixels
from ssseg.types import Batch


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
