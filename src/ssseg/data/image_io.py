"""Reads image files without loss: 8 and 16 bits, float, any number of channels.

Pillow reads most files. It converts 16-bit colour to 8 bits and does not support more than four
channels; these PNG and TIFF files are read by OpenCV and tifffile.
"""

import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from PIL import ExifTags, Image, ImageOps

from ssseg.data.datasets.base import Array, Pixels
from ssseg.data.nodata import missing_in
from ssseg.data.tiff import TIFF_ENDINGS, read_tiff, tiff_info
from ssseg.errors import UserError
from ssseg.runs.machine import expect_room

IMAGE_ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")
MASK_ENDINGS = (".png", ".bmp", ".tif", ".tiff")
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
CHANNELS = {"1": 1, "L": 1, "LA": 1, "La": 1, "RGBX": 4}
"""Pillow's mode -> number of channels; 3 for all others. Transparency does not count."""
VALUES = {"uint8": "8-bit values", "uint16": "16-bit values", "float": "values in float"}

_OPENING = threading.Lock()


class ImageInfo(NamedTuple):
    """Properties of an image file, read from its header if the format allows it."""

    height: int
    width: int
    channels: int
    pixels: Pixels


def image_info(path: Path) -> ImageInfo:
    """Size (after EXIF orientation), number of channels and kind of the values of an image.

    Raises:
        UserError: For a file that is not an image.
    """
    with decoding(path):
        if _is_deep_png(path):
            height, width, channels = _deep_png(path).shape
            return ImageInfo(height, width, channels, "uint16")
        if _is_tiff(path) and not (tiff := tiff_info(path)).plain:
            return ImageInfo(tiff.height, tiff.width, tiff.channels, _kind(tiff.dtype))
        with open_picture(path) as image:
            height, width = _displayed_size(image)
            return ImageInfo(height, width, CHANNELS.get(image.mode, 3), "uint8")


def read_image(path: Path, channels: int, pixels: Pixels) -> Array:
    """Read an image, with its EXIF orientation applied.

    Args:
        path: The file.
        channels: Number of channels of the result. Grey and RGB are converted to each other; 4 for
            a file with transparency is RGBA. Any other number must be that of the file.
        pixels: Kind of the values, which must be that of the file.

    Returns:
        (H, W, channels): uint8 for `uint8`, float32 in [0, 1] for `uint16`, float32 with unchanged
        values for `float`. Float values are NaN for pixels that a TIFF file declares as "no data".

    Raises:
        UserError: For a file that cannot be read or has values of another kind.
    """
    with decoding(path):
        found, nodata = _read(path, channels)
    expect_kind(path, _kind(found.dtype), pixels)
    gaps = None if pixels == "uint8" else missing_in(found, nodata)
    found = _with_channels(found, channels, path)
    if pixels == "uint8":
        return found
    with np.errstate(over="ignore"):  # float64 that overflows becomes infinite and raises below
        values = found.astype(np.float32)
    if gaps is not None:
        values[gaps] = 0
    if pixels == "float" and not np.isfinite(values).all():
        raise UserError(
            f"{path} holds values that are no numbers (NaN or infinite); replace them by a number, "
            "such as the mean, or declare them to be no data (gdal_edit.py -a_nodata nan)"
        )
    values /= 65535 if pixels == "uint16" else 1
    if gaps is not None:
        values[gaps] = np.nan
    return values


def gaps_in_file(path: Path, image: Array) -> Array | None:
    """Pixels of an 8-bit image that its file declares as "no data", (H, W) bool; None if none."""
    if not _is_tiff(path):
        return None
    with decoding(path):
        return missing_in(image, tiff_info(path).nodata)


def read_ids(path: Path) -> Array:
    """Read the values of a mask.

    Returns:
        (H, W) integers with the dtype of the file; (H, W, 3) uint8 for a mask in colour.

    Raises:
        UserError: For a file that cannot be read or is not a mask.
    """
    with decoding(path):
        # before Pillow, which reads only the first of several pages
        found = None if not _is_tiff(path) else read_tiff(path)[1]
        if found is None:
            with open_picture(path) as image:
                if image.mode in ("L", "P", "1"):
                    return np.asarray(image)
            found = _read(path, 3)[0]
    if found.shape[-1] == 1 and not np.issubdtype(found.dtype, np.floating):
        return found[..., 0]
    if found.dtype == np.uint8 and found.shape[-1] == 3:
        return found
    raise UserError(
        f"mask {path} has {found.shape[-1]} channels of {found.dtype}; expected one channel of "
        "class ids, or 8-bit colours that classes.json explains"
    )


def expect_kind(path: Path, found: Pixels, expected: Pixels) -> None:
    """Raise `UserError` for an image with another kind of values than the data set."""
    if found != expected:
        raise UserError(
            f"{path} holds {VALUES[found]}, but expected are {VALUES[expected]}, as in the first "
            "training image; convert it, so that all images are of one kind"
        )


@contextmanager
def decoding(path: Path) -> Iterator[None]:
    """A context that converts errors of decoders to a `UserError` about the file."""
    try:
        yield
    except UserError:
        raise
    # exceptions of the decoders for broken, incomplete or very large files
    except (
        OSError,
        SyntaxError,
        ValueError,
        EOFError,
        IndexError,
        KeyError,
        struct.error,
        cv2.error,
    ) as error:
        what = " ".join(f"{type(error).__name__}: {error}".replace(f" '{path}'", "").split())
        raise UserError(
            f"{path} cannot be read as an image ({what}); replace or remove it"
        ) from error


def open_picture(path: Path) -> Image.Image:
    """Open a file with Pillow; the size is limited by the memory of the machine.

    Pillow's limit of 179 megapixels is too low for satellite images and slide scanners.
    """
    with _OPENING:
        usual, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            image = Image.open(path)
        finally:
            Image.MAX_IMAGE_PIXELS = usual
    try:
        expect_room(path, image.height, image.width, len(image.getbands()))
    except UserError:
        image.close()
        raise
    return image


def _is_tiff(path: Path) -> bool:
    return path.suffix.lower() in TIFF_ENDINGS


def _is_deep_png(path: Path) -> bool:
    """Whether a PNG has 16 bits per channel, from byte 24 of its header."""
    with path.open("rb") as file:
        head = file.read(25)
    deep = len(head) == 25 and head.startswith(PNG_SIGNATURE) and head[24] == 16
    if deep:
        width, height = struct.unpack(">II", head[16:24])
        expect_room(path, height, width, 8)
    return deep


def _deep_png(path: Path) -> Array:
    """Read a 16-bit PNG, (H, W, C) uint16."""
    content = np.fromfile(path, np.uint8)
    found = cv2.imdecode(content, cv2.IMREAD_UNCHANGED)
    if found is None:
        raise OSError("broken data")
    if found.ndim == 2:
        return found[..., None]
    orders = {3: cv2.COLOR_BGR2RGB, 4: cv2.COLOR_BGRA2RGBA}
    return cv2.cvtColor(found, orders[found.shape[-1]])


def _read(path: Path, channels: int) -> tuple[Array, float | None]:
    """Pixels (H, W, C) with the dtype of the file, and its declared "no data" value.

    If Pillow reads the file, C is `channels`; else it is the number of channels of the file.
    """
    if _is_deep_png(path):
        return _deep_png(path), None
    nodata = None
    if _is_tiff(path):
        info, found = read_tiff(path)
        nodata = info.nodata
        if found is not None:
            return found, nodata
    with open_picture(path) as image:
        return displayed(image, channels), nodata


def displayed(image: Image.Image, channels: int) -> Array:
    """Pixels of an 8-bit PIL image with its EXIF orientation applied, (H, W, C) uint8.

    Args:
        image: An image with any 8-bit mode of Pillow.
        channels: 1: grey, 4: with transparency, other numbers: RGB.
    """
    mode = {1: "L", 4: "RGBX" if image.mode == "RGBX" else "RGBA"}.get(channels, "RGB")
    pixels = np.asarray(ImageOps.exif_transpose(image).convert(mode))
    return pixels[..., None] if pixels.ndim == 2 else pixels


def _with_channels(found: Array, channels: int, path: Path) -> Array:
    """Convert grey to RGB or RGB to grey, or remove transparency."""
    held = found.shape[-1]
    if held == channels:
        return found
    if held == 1 and channels == 3:
        return found.repeat(3, -1)
    if held == 4 and channels == 3:
        return found[..., :3]
    if held in (3, 4) and channels == 1:
        grey: Array = found[..., :3] @ np.array([0.299, 0.587, 0.114])
        return grey[..., None].astype(found.dtype)
    raise UserError(
        f"{path} has {held} channels, but expected are {channels}, as in the first training "
        "image; remove it, or give option data.channels"
    )


def _kind(dtype: np.dtype[Any]) -> Pixels:
    if dtype in (np.uint8, np.bool_):
        return "uint8"
    return "uint16" if dtype == np.uint16 else "float"


def _displayed_size(image: Image.Image) -> tuple[int, int]:
    """Height and width after EXIF orientation, from the header."""
    width, height = image.size
    turned = image.getexif().get(ExifTags.Base.Orientation, 1) in (5, 6, 7, 8)
    return (width, height) if turned else (height, width)
