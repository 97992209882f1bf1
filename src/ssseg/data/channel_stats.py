"""Mean and standard deviation per channel, of a data set's own images."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np

from ssseg.data.datasets.base import Array, Record, Source
from ssseg.data.nodata import suspected
from ssseg.data.reading import evenly_spaced, in_threads, kept_of
from ssseg.errors import UserError

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
ENOUGH = 200
"""Images that are read: more would not move the result by anything that matters."""


ROWS = 256
"""That are summed up at a time: numbers of 64 bits of a whole image might not fit into memory."""


class Statistics(NamedTuple):
    """Of the images of a data set."""

    mean: tuple[float, ...]
    """Per channel: of 8-bit and 16-bit images in [0, 1], of images in float in their own unit."""
    std: tuple[float, ...]
    """The same."""
    suspects: list[tuple[str, float]]
    """Images with a value that looks like "no data" but is not declared to be, as the files hold
    it: id and value."""


class _Sums(NamedTuple):
    """Of one image."""

    pixels: int
    total: Array
    squares: Array
    suspect: float | None


def statistics_of(source: Source, records: Sequence[Record]) -> Statistics:
    """Mean and standard deviation per channel over evenly spaced images.

    Args:
        source: Reads them.
        records: The images; at most 200 of them are read.

    Raises:
        UserError: Where no pixel has data.
    """
    chosen = evenly_spaced(records, ENOUGH)

    def found() -> Statistics:
        pixels, total, squares = 0, np.zeros(source.in_channels), np.zeros(source.in_channels)
        suspects = list[tuple[str, float]]()
        sums = in_threads(lambda record: _sums(source, record), chosen)
        for record, one in zip(chosen, sums, strict=True):
            pixels += one.pixels
            total += one.total
            squares += one.squares
            if one.suspect is not None:
                suspects.append((record.id, one.suspect))
        if not pixels:
            raise UserError(
                f"the {len(chosen)} images of {source.name} that were read for mean and deviation "
                'hold no data; expected pixels with other values than the declared "no data"'
            )
        mean: Array = total / pixels
        # a channel that never changes says nothing; it must not be divided by 0
        std: Array = np.sqrt(np.maximum(squares / pixels - mean**2, 1e-12))
        return Statistics(tuple(mean.tolist()), tuple(std.tolist()), suspects)

    mean, std, suspects = kept_of(source, "statistics", chosen, found)
    return Statistics(tuple(mean), tuple(std), [(name, value) for name, value in suspects])


def normalization(
    source: Source,
    kind: Literal["auto", "imagenet", "data"],
    mean: tuple[float, ...] | None,
    std: tuple[float, ...] | None,
) -> Statistics:
    """What images are normalised by: what the options give, and the rest by `kind`.

    Args:
        source: Of the images.
        kind: Option `data.statistics`.
        mean: Option `data.mean`; None: by `kind`.
        std: The same of `data.std`.

    Raises:
        UserError: For ImageNet's statistics of other images than 8-bit colour, a number of values
            that is not the images' channels, or a deviation that is not above 0.
    """
    suspects = list[tuple[str, float]]()
    if mean is None or std is None:
        found = _found(source, kind)
        mean, std, suspects = mean or found.mean, std or found.std, found.suspects
    for name, given in (("mean", mean), ("std", std)):
        if len(given) != source.in_channels:
            raise UserError(
                f"option data.{name} has {len(given)} values, but the images have "
                f"{source.in_channels} channels; give one value per channel"
            )
    if min(std) <= 0:
        raise UserError(f"option data.std is {list(std)}; expected values above 0")
    return Statistics(mean, std, suspects)


def _found(source: Source, kind: str) -> Statistics:
    usual = source.in_channels == 3 and source.pixels == "uint8"
    if kind == "imagenet" and not usual:
        raise UserError(
            f"option data.statistics is imagenet, but the images have {source.in_channels} "
            f"channels of {source.pixels}; expected 3 of uint8, or data"
        )
    if kind == "data" or not usual:
        return statistics_of(source, [*source.records("train"), *source.unlabeled()])
    return Statistics(*IMAGENET, [])


def _sums(source: Source, record: Record) -> _Sums:
    image = source.read_image(record)
    gaps = source.gaps(record, image)
    pixels, total, squares = 0, np.zeros(source.in_channels), np.zeros(source.in_channels)
    for start in range(0, len(image), ROWS):
        rows = image[start : start + ROWS].reshape(-1, source.in_channels).astype(np.float64)
        if gaps is not None:
            rows = rows[~gaps[start : start + ROWS].ravel()]
        rows /= 255 if image.dtype == np.uint8 else 1
        pixels += len(rows)
        total += rows.sum(0)
        squares += np.square(rows).sum(0)
    return _Sums(pixels, total, squares, undeclared_nodata(source, image))


def undeclared_nodata(source: Source, image: Array) -> float | None:
    """What looks like "no data" in an image, in the unit of its file; None for nothing."""
    found = None if source.pixels == "uint8" else suspected(image)
    return round(found * 65535) if found is not None and source.pixels == "uint16" else found


def remark_on(suspects: Sequence[tuple[str, float]]) -> list[str]:
    """What is to be said of undeclared values."""
    if not suspects:
        return []
    name, value = suspects[0]
    many = "1 image holds" if len(suspects) == 1 else f"{len(suspects)} images hold"
    return [
        f"{many} the value {value:g} in many pixels, far from all others (e.g. {name}): if it "
        "means that there is no data, declare it in the files (gdal_edit.py -a_nodata "
        f"{value:g} FILE), or it spoils mean and deviation"
    ]
