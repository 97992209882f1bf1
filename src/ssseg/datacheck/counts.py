"""Counts of images, classes and pixels, and the proposed crop size."""

from collections import Counter
from collections.abc import Sequence
from statistics import median_low
from typing import Any, NamedTuple

from ssseg.datacheck.findings import Role
from ssseg.datacheck.scan import ScannedImage
from ssseg.types import IGNORE

STRIDE, LARGEST = 32, 512
"""Sides of the proposed crop are multiples of `STRIDE` and at most `LARGEST` pixels."""


class Counts(NamedTuple):
    """Counts over all masks of a set."""

    pixels: list[int]
    """Number of pixels of each of the 256 ids."""
    images: list[int]
    """Number of masks with at least one pixel of each id."""

    @property
    def total(self) -> int:
        """Number of all pixels, including ignored ones."""
        return sum(self.pixels)

    @property
    def ignored(self) -> int:
        """Number of ignored pixels."""
        return self.pixels[IGNORE]

    def share(self, class_id: int) -> float | None:
        """Share of a class among the pixels that are not ignored; None if all are ignored."""
        rest = self.total - self.ignored
        return self.pixels[class_id] / rest if rest else None


def of_role(seen: Sequence[ScannedImage], role: Role) -> list[ScannedImage]:
    """The scanned images of one set."""
    return [one for one in seen if one.role == role]


def counts_of(seen: Sequence[ScannedImage]) -> Counts:
    """Sum the counts of all masks."""
    masks = [one.mask.counts for one in seen if one.mask is not None]
    pixels = [sum(counts) for counts in zip(*masks, strict=True)] or [0] * 256
    images = [sum(map(bool, counts)) for counts in zip(*masks, strict=True)] or [0] * 256
    return Counts(pixels, images)


def describe(seen: Sequence[ScannedImage]) -> dict[str, Any]:
    """Counts, sizes, channels and formats of the images of one set, for the report."""
    images = [one.image for one in seen if one.image is not None]
    sizes = sorted(((i.height, i.width) for i in images), key=lambda size: size[0] * size[1])
    counts = counts_of(seen)
    return {
        "images": len(seen),
        "readable": len(images),
        "masks": sum(one.mask is not None for one in seen),
        "smallest": list(sizes[0]) if sizes else None,
        "median": list(sizes[(len(sizes) - 1) // 2]) if sizes else None,
        "largest": list(sizes[-1]) if sizes else None,
        "channels": _tally(str(i.channels) for i in images),
        "values": _tally(i.pixels for i in images),
        "formats": _tally(i.format for i in images),
        "ignored": counts.ignored / counts.total if counts.total else None,
    }


def _tally(values: Any) -> dict[str, int]:
    return dict(Counter(values).most_common())


def propose_crop(seen: Sequence[ScannedImage]) -> tuple[int, int] | None:
    """Height and width of a square crop that fits into most training images; None without any."""
    images = [one.image for one in seen if one.role in ("labeled", "unlabeled")]
    sides = [min(image.height, image.width) for image in images if image is not None]
    if not sides:
        return None
    side = max(STRIDE, min(LARGEST, median_low(sides) // STRIDE * STRIDE))
    return side, side
