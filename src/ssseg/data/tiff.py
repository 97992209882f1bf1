"""Reads TIFF files: rows, columns, channels and "no data" values.

A file may have several pages: channels, slices, points in time, text pages, smaller copies. Pages
that form one image are read; a file with several images raises an error.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tifffile

from ssseg.data.datasets.base import Array
from ssseg.errors import UserError
from ssseg.runs.machine import expect_room

TIFF_ENDINGS = (".tif", ".tiff")
COPIES = 1 | 4
"""Bits of a page's subfile type: a smaller copy, a transparency mask."""
CHANNEL_AXES = "CSQ"
"""tifffile's names of axes that may be channels: channels, samples, unknown axis."""
NODATA = 42113
"""The tag of GDAL for the "no data" value."""


class TiffInfo(NamedTuple):
    """Properties of the image in a TIFF file."""

    height: int
    width: int
    channels: int
    dtype: np.dtype[Any]
    nodata: float | None
    """The declared "no data" value."""
    plain: bool
    """Whether Pillow can read the image."""


def tiff_info(path: Path) -> TiffInfo:
    """Properties of a file; raises UserError for several images, and for complex numbers."""
    with _opened(path) as (series, channel_axis):
        return _info(series, channel_axis)


def read_tiff(path: Path) -> tuple[TiffInfo, Array | None]:
    """Properties and pixels (H, W, C) of a file, with its dtype; None for pixels if `plain`."""
    with _opened(path) as (series, channel_axis):
        info = _info(series, channel_axis)
        if info.plain:
            return info, None
        expect_room(path, info.height, info.width, info.channels * info.dtype.itemsize)
        found: Array = np.asarray(series.asarray())
    if channel_axis is not None:
        found = np.moveaxis(found, channel_axis, -1)
    return info, found.reshape(info.height, info.width, info.channels)


@contextmanager
def _opened(path: Path) -> Iterator[tuple[tifffile.TiffPageSeries, int | None]]:
    """The image of a file, and the index of its channel axis."""
    with tifffile.TiffFile(path) as file:
        full = [s for s in file.series if not int(s.keyframe.subfiletype) & COPIES]
        full = full or file.series[:1]
        if len(full) != 1:
            raise UserError(
                f"{path} holds {len(full)} images of different sizes or kinds, but expected is "
                "one; save the one that counts as a file of its own"
            )
        yield full[0], _channel_axis(path, full[0])


def _channel_axis(path: Path, series: tifffile.TiffPageSeries) -> int | None:
    """The index of the channel axis of an image; None if there is none."""
    if np.dtype(series.dtype).kind not in "biuf":
        raise UserError(
            f"{path} holds {series.dtype} values, but expected are real numbers; save the "
            "magnitude, or the real and the imaginary part as two channels"
        )
    size = " x ".join(map(str, series.shape))
    if "Y" not in series.axes or "X" not in series.axes:
        raise UserError(
            f"{path} holds an array ({size}) without rows and columns, which no image is"
        )
    axes = list(zip(series.axes, series.shape, strict=True))
    others = [axis for axis, length in axes if axis not in "YX" and length > 1]
    if not others:
        return None
    sizes = dict(axes)
    if len(others) > 1 or others[0] not in CHANNEL_AXES:
        raise UserError(
            f"{path} holds several pages ({size}, axes {series.axes}) that are not called "
            "channels, but expected is one image; save each page as a file of its own, or all as "
            "channels (tifffile: axes CYX)"
        )
    # an array (H, W, C) that was written without names of its axes, so that rows became pages
    if others == ["Q"] and series.axes[0] == "Q" and 2 * sizes["X"] < min(sizes["Q"], sizes["Y"]):
        raise UserError(
            f"{path} holds pages of {sizes['Y']} x {sizes['X']}, as if rows had been taken for "
            f"pages ({size}); save it again with channels as such (tifffile: photometric "
            "minisblack, planarconfig contig)"
        )
    return series.axes.index(others[0])


def _info(series: tifffile.TiffPageSeries, channel_axis: int | None) -> TiffInfo:
    page = series.keyframe
    sizes, dtype = dict(zip(series.axes, series.shape, strict=True)), np.dtype(series.dtype)
    channels = 1 if channel_axis is None else series.shape[channel_axis]
    together = channel_axis is None or series.axes.index("X") < channel_axis
    # Pillow cannot read several channels without a photometric interpretation as colour
    colored = channels == 1 or page.photometric > tifffile.PHOTOMETRIC.MINISBLACK
    alpha = channels == 2 and bool(page.extrasamples and max(page.extrasamples))
    eight_bits = dtype in (np.uint8, np.bool_)
    plain = eight_bits and channels <= 4 and together and (colored or alpha)
    return TiffInfo(sizes["Y"], sizes["X"], channels, dtype, _nodata(page), plain)


def _nodata(page: tifffile.TiffPage) -> float | None:
    tag = page.tags.get(NODATA)
    try:
        return None if tag is None else float(str(tag.value).strip("\0 "))
    except ValueError:
        return None


def _not_on_nodata(record: logging.LogRecord) -> bool:
    """Filter out tifffile's warning about a rounded "no data" value, which is expected here."""
    return "GDAL_NODATA" not in record.getMessage()


logging.getLogger("tifffile").addFilter(_not_on_nodata)
