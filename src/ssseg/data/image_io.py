"""Image files to arrays and nothing lost on the way: 8 and 16 bits, float, any number of channels.

Pillow reads what it can represent. It would silently cut 16-bit colour to 8 bits, and knows no
image of more than four channels: those PNG and TIFF files go to OpenCV and tifffile.
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
from ssseg.data.tiff import TIFF_ENDINGS, look_at_tiff, read_tiff
from ssseg.errors import UserError
from ssseg.runs.machine import expect_room

IMAGE_ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")
MASK_ENDINGS = (".png", ".bmp", ".tif", ".tiff")
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
CHANNELS = {"1": 1, "L": 1, "LA": 1, "La": 1, "RGBX": 4}
"""Of Pillow's modes; 3 for all others. Transparency is no channel, unless it is asked for."""
VALUES = {"uint8": "8-bit values", "uint16": "16-bit values", "float": "values in float"}

_OPENING = threading.Lock()


class ImageInfo(NamedTuple):
    """What a file holds, known without decoding its pixels where the format allows."""

    height: int
    width: int
    channels: int
    pixels: Pixels


def probe(path: Path) -> ImageInfo:
    """Size, channels and kind of the values of an image, as it is displayed (EXIF applied).

    Raises:
        UserError: For a file that is no image.
    """
    with decoding(path):
        if _is_deep_png(path):
            height, width, channels = _deep_png(path).shape
            return ImageInfo(height, width, channels, "uint16")
        if _is_tiff(path) and not (tiff := look_at_tiff(path)).plain:
            return ImageInfo(tiff.height, tiff.width, tiff.channels, _kind(tiff.dtype))
        with open_picture(path) as image:
            height, width = _displayed_size(image)
            return ImageInfo(height, width, CHANNELS.get(image.mode, 3), "uint8")


def read_image(path: Path, channels: int, pixels: Pixels) -> Array:
    """An image as it is displayed.

    Args:
        path: The file.
        channels: That are wanted. Grey and colour are converted into each other; 4 of a file with
            transparency are RGBA. Any other number must be what the file holds.
        pixels: The kind of values that is wanted; the file must hold that kind.

    Returns:
        (H, W, channels) uint8; float32 in [0, 1] for `uint16`, float32 as they are for `float`,
        both with NaN where a TIFF declares pixels to be no data.

    Raises:
        UserError: For what cannot be read or is of another kind.
    """
    with decoding(path):
        found, nodata = _read(path, channels)
    expect_kind(path, _kind(found.dtype), pixels)
    gaps = None if pixels == "uint8" else missing_in(found, nodata)
    found = _with_channels(found, channels, path)
    if pixels == "uint8":
        return found
    with np.errstate(over="ignore"):  # of float64; what becomes infinite is found below
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
    """Where a file declares an 8-bit image that was read from it to have no data, (H, W) bool."""
    if not _is_tiff(path):
        return None
    with decoding(path):
        return missing_in(image, look_at_tiff(path).nodata)


def read_ids(path: Path) -> Array:
    """The values of a mask.

    Returns:
        (H, W) integers of the file's own type; of a mask in colour, (H, W, 3) uint8.

    Raises:
        UserError: For what cannot be read, or is no mask.
    """
    with decoding(path):
        # first: Pillow would read the first page of many
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
    """Refuse an image whose values are of another kind than those of its data set."""
    if found != expected:
        raise UserError(
            f"{path} holds {VALUES[found]}, but expected are {VALUES[expected]}, as in the first "
            "training image; convert it, so that all images are of one kind"
        )


@contextmanager
def decoding(path: Path) -> Iterator[None]:
    """What fails inside is the file's own fault, and is said in one sentence."""
    try:
        yield
    except UserError:
        raise
    # what the readers raise for files that are broken, cut off or absurdly large
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
    """A file as Pillow opens it, however large: its bound is what the machine can hold.

    Pillow's own bound of 179 megapixels is below what satellites and slide scanners make.
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
    """Whether a PNG has 16 bits per channel: byte 24 of its header says so."""
    with path.open("rb") as file:
        head = file.read(25)
    deep = len(head) == 25 and head.startswith(PNG_SIGNATURE) and head[24] == 16
    if deep:
        width, height = struct.unpack(">II", head[16:24])
        expect_room(path, height, width, 8)
    return deep


def _deep_png(path: Path) -> Array:
    """(H, W, C) uint16."""
    content = np.fromfile(path, np.uint8)
    found = cv2.imdecode(content, cv2.IMREAD_UNCHANGED)
    if found is None:
        raise OSError("broken data")
    if found.ndim == 2:
        return found[..., None]
    orders = {3: cv2.COLOR_BGR2RGB, 4: cv2.COLOR_BGRA2RGBA}
    return cv2.cvtColor(found, orders[found.shape[-1]])


def _read(path: Path, channels: int) -> tuple[Array, float | None]:
    """(H, W, C) of the file's own type, and the value that it declares to be no data.

    What Pillow reads is in the number of channels wanted.
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
    """(H, W, channels) uint8 of an image of 8 bits as it is displayed; 3 where it has others.

    Args:
        image: Of any of Pillow's modes of 8 bits.
        channels: That are wanted: 1 grey, 4 with transparency, else colour.
    """
    mode = {1: "L", 4: "RGBX" if image.mode == "RGBX" else "RGBA"}.get(channels, "RGB")
    pixels = np.asarray(ImageOps.exif_transpose(image).convert(mode))
    return pixels[..., None] if pixels.ndim == 2 else pixels


def _with_channels(found: Array, channels: int, path: Path) -> Array:
    """Grey and colour into each other; transparency away."""
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
    """Height and width as a viewer shows the image; read from the header alone."""
    width, height = image.size
    turned = image.getexif().get(ExifTags.Base.Orientation, 1) in (5, 6, 7, 8)
    return (width, height) if turned else (height, width)
