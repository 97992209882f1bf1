"""Mean and standard deviation per channel of the images of a data set."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np

from ssseg.data.datasets.base import Array, Record, Source
from ssseg.data.nodata import suspected
from ssseg.data.reading import evenly_spaced, in_threads, kept_of
from ssseg.errors import UserError

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
ENOUGH = 200
"""Largest number of images that are read; more images hardly change the result."""


ROWS = 256
"""Rows that are summed at a time, because a whole image in float64 may not fit into memory."""


class Statistics(NamedTuple):
    """Statistics of the images of a data set."""

    mean: tuple[float, ...]
    """Mean per channel: in [0, 1] for 8-bit and 16-bit images, in the unit of the file for float
    images."""
    std: tuple[float, ...]
    """Standard deviation per channel, in the unit of `mean`."""
    suspects: list[tuple[str, float]]
    """Images with a value that looks like undeclared "no data": id, and value in the file."""


class _Sums(NamedTuple):
    """Sums over the pixels of an image."""

    pixels: int
    total: Array
    squares: Array
    suspect: float | None


def statistics_of(source: Source, records: Sequence[Record]) -> Statistics:
    """Mean and standard deviation per channel over evenly spaced images.

    Args:
        source: The data set.
        records: The images; at most 200 of them are read.

    Raises:
        UserError: If no pixel has data.
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
        # at least 1e-12, so that a constant channel is not divided by 0
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
    """Mean and standard deviation for the normalisation, from options or by `kind`.

    Args:
        source: The data set.
        kind: Option `data.statistics`.
        mean: Option `data.mean`; None: by `kind`.
        std: Option `data.std`; None: by `kind`.

    Raises:
        UserError: For ImageNet's statistics with images that are not 8-bit RGB, a number of values
            other than the number of channels, or a standard deviation that is not above 0.
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
    """A value that looks like undeclared "no data", in the unit of the file; None without one."""
    found = None if source.pixels == "uint8" else suspected(image)
    return round(found * 65535) if found is not None and source.pixels == "uint16" else found


def remark_on(suspects: Sequence[tuple[str, float]]) -> list[str]:
    """A message about values that look like undeclared "no data"."""
    if not suspects:
        return []
    name, value = suspects[0]
    many = "1 image holds" if len(suspects) == 1 else f"{len(suspects)} images hold"
    return [
        f"{many} the value {value:g} in many pixels, far from all others (e.g. {name}), which "
        'distorts mean and standard deviation; if it means "no data", declare it in the files '
        f"(gdal_edit.py -a_nodata {value:g} FILE)"
    ]
