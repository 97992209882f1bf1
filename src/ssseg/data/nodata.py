"""Pixels without data: declared in a file, or suspected.

In float arrays these pixels are NaN. They are excluded from mean and standard deviation, the input
of the network is the mean there, and they are invalid, like padding.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

ENOUGH = 100_000
"""Largest number of pixels of an image that are searched for a suspicious value."""
FEW = 0.001
"""Smallest share of pixels with a value that is suspicious."""


def missing_in(found: Array, nodata: float | None) -> Array | None:
    """Pixels without data in an image from a file.

    For floats and signed integers (measured values) a pixel has no data if one of its channels has
    the declared value. For unsigned integers all channels must have it, because 0 is also the value
    of dark pixels.

    Args:
        found: (H, W, C), with the dtype of the file.
        nodata: The declared "no data" value; None if there is none.

    Returns:
        (H, W) bool, True without data; None if every pixel has data.
    """
    if nodata is None:
        return None
    if found.dtype.kind == "f":
        # many programs use the largest float32 as "no data" and round it when they write it as text
        equal = np.isclose(found, nodata, rtol=2e-6, atol=0, equal_nan=True)
    elif found.dtype.kind in "iu" and nodata == round(nodata if np.isfinite(nodata) else 0.5):
        equal = found == int(nodata)
    else:
        return None
    missing: Array = np.asarray(equal.all(-1) if found.dtype.kind == "u" else equal.any(-1))
    return missing if missing.any() else None


def gaps_of(image: Array) -> Array | None:
    """NaN pixels of an image, (H, W) bool; None if there are none."""
    if image.dtype.kind != "f":
        return None
    gaps: Array = np.asarray(np.isnan(image).any(-1))
    return gaps if gaps.any() else None


def filled(image: Array, mean: Sequence[float] | Array) -> Array:
    """An image (H, W, C) in which pixels without data are replaced by the mean."""
    gaps = gaps_of(image)
    if gaps is None:
        return image
    image = image.copy()
    image[gaps] = np.asarray(mean, image.dtype)
    return image


def suspected(image: Array) -> float | None:
    """A value that looks like undeclared "no data"; None if there is none.

    It is the smallest or largest value of a channel, many pixels have it, and its distance to all
    other values is more than twice the range of 98 % of them.

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
