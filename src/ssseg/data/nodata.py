"""Pixels without data: what a file declares to be none, and what looks like it.

In arrays of floats such pixels are NaN. They are left out of mean and deviation, the network sees
the mean there, and they are invalid, as padding is.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

ENOUGH = 100_000
"""Pixels of an image that are looked at for a suspicious value."""
FEW = 0.001
"""Share of pixels below which a value is no suspicious one."""


def missing_in(found: Array, nodata: float | None) -> Array | None:
    """Where a file's pixels have no data.

    Values of floats and of integers with a sign measure something: a pixel that lacks one of them
    is none. Of unsigned integers 0 is a dark pixel's value as well: there all must be the one that
    is declared.

    Args:
        found: (H, W, C) of the file's own type.
        nodata: The value that the file declares; None for none.

    Returns:
        (H, W) bool; None where every pixel has data.
    """
    if nodata is None:
        return None
    if found.dtype.kind == "f":
        # texts round the largest number of 32 bits, which many programs mean nothing by
        equal = np.isclose(found, nodata, rtol=2e-6, atol=0, equal_nan=True)
    elif found.dtype.kind in "iu" and nodata == round(nodata if np.isfinite(nodata) else 0.5):
        equal = found == int(nodata)
    else:
        return None
    missing: Array = np.asarray(equal.all(-1) if found.dtype.kind == "u" else equal.any(-1))
    return missing if missing.any() else None


def gaps_of(image: Array) -> Array | None:
    """Where an image as `Source.read_image` gives it has no data, (H, W) bool; None for nowhere."""
    if image.dtype.kind != "f":
        return None
    gaps: Array = np.asarray(np.isnan(image).any(-1))
    return gaps if gaps.any() else None


def filled(image: Array, mean: Sequence[float] | Array) -> Array:
    """An image, (H, W, C), with the mean where it has no data."""
    gaps = gaps_of(image)
    if gaps is None:
        return image
    image = image.copy()
    image[gaps] = np.asarray(mean, image.dtype)
    return image


def suspected(image: Array) -> float | None:
    """A value that looks like "no data" although nothing declares it; None if there is none.

    It is the smallest or largest of a channel, many pixels have it, and it is further away from all
    others than most of them are from each other.

    Args:
        image: (H, W, C) float, NaN where there is no data.
    """
    values = image.reshape(-1, image.shape[-1])
    values = values[:: len(values) // ENOUGH + 1]
    values = values[np.isfinite(values).all(-1)].astype(np.float64)
    for channel in values.T:
        for extreme, sign in ((channel.min(), 1), (channel.max(), -1)) if len(channel) else ():
            rest = channel[channel != extreme]
            if len(channel) - len(rest) < max(8, FEW * len(channel)) or not len(rest):
                continue
            low, high = np.percentile(rest, (1, 99))
            away = np.min(sign * (rest - extreme))
            if high > low and away > 2 * (high - low):
                return float(extreme)
    return None
