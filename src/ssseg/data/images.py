"""Image files to arrays and nothing lost on the way: 8 and 16 bits, float, any number of channels.

Pillow reads what it can represent. It would silently cut 16-bit colour to 8 bits, and knows no
image of more than four channels: those PNG and TIFF files go to OpenCV and tifffile.
"""

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, cast

import cv2
import numpy as np
import tifffile
from PIL import ExifTags, Image, ImageOps

from ssseg.data.datasets.base import Array, Pixels
from ssseg.errors import UserError

IMAGE_ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")
MASK_ENDINGS = (".png", ".bmp", ".tif", ".tiff")
TIFF_ENDINGS = (".tif", ".tiff")
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
CHANNELS = {"1": 1, "L": 1, "LA": 1, "La": 1, "RGBX": 4}
"""Of Pillow's modes; 3 for all others. Transparency is no channel, unless it is asked for."""
VALUES = {"uint8": "8-bit values", "uint16": "16-bit values", "float": "values in float"}


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
        if (info := _deep_tiff(path, decode=False)) is not None:
            return cast(ImageInfo, info)
        with Image.open(path) as image:
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
        (H, W, channels) uint8; float32 in [0, 1] for `uint16`, float32 as they are for `float`.

    Raises:
        UserError: For what cannot be read or is of another kind.
    """
    with decoding(path):
        found = _read(path, channels)
    expect_kind(path, _kind(found.dtype), pixels)
    found = _with_channels(found, channels, path)
    if pixels == "uint8":
        return found
    if pixels == "float" and not np.isfinite(found).all():
        raise UserError(
            f"{path} holds values that are no numbers (NaN or infinite); replace them by a number, "
            "such as the mean"
        )
    return found.astype(np.float32) / 65535 if pixels == "uint16" else found.astype(np.float32)


def read_ids(path: Path) -> Array:
    """The values of a mask.

    Returns:
        (H, W) integers of the file's own type; of a mask in colour, (H, W, 3) uint8.

    Raises:
        UserError: For what cannot be read, or is no mask.
    """
    with decoding(path):
        with Image.open(path) as image:
            if image.mode in ("L", "P", "1"):
                return np.asarray(image)
        found = _read(path, 3)
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
        Image.DecompressionBombError,
    ) as error:
        what = f"{type(error).__name__}: {error}".replace(f" '{path}'", "")
        raise UserError(
            f"{path} cannot be read as an image ({what}); replace or remove it"
        ) from error


def _is_deep_png(path: Path) -> bool:
    """Whether a PNG has 16 bits per channel: byte 24 of its header says so."""
    with path.open("rb") as file:
        head = file.read(25)
    return len(head) == 25 and head.startswith(PNG_SIGNATURE) and head[24] == 16


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


def _deep_tiff(path: Path, *, decode: bool) -> Any:
    """What Pillow cannot represent of a TIFF: (H, W, C) of the first page, or only its ImageInfo.

    None where Pillow can read the file.
    """
    if path.suffix.lower() not in TIFF_ENDINGS:
        return None
    with tifffile.TiffFile(path) as file:
        page = cast(tifffile.TiffPage, file.pages[0])
        shape, dtype = page.shape, np.dtype(page.dtype)
        # bands may come as planes, before rows and columns, of which there are more
        planes = len(shape) == 3 and page.planarconfig == tifffile.PLANARCONFIG.SEPARATE
        channels = 1 if len(shape) == 2 else shape[0 if planes else -1]
        # bands beside one another without a meaning as colour are nothing that Pillow knows
        plain = channels == 1 or page.photometric > tifffile.PHOTOMETRIC.MINISBLACK
        alpha = channels == 2 and bool(page.extrasamples and max(page.extrasamples))
        if dtype.itemsize == 1 and channels <= 4 and not planes and (plain or alpha):
            return None
        height, width = shape[1:3] if planes else shape[:2]
        if not decode:
            return ImageInfo(height, width, channels, _kind(dtype))
        found: Array = np.asarray(page.asarray())
    if planes:
        found = np.moveaxis(found, 0, -1)
    out: Array = found.reshape(height, width, channels)
    return out


def _read(path: Path, channels: int) -> Array:
    """(H, W, C) of the file's own type; what Pillow reads, in the number of channels wanted."""
    if _is_deep_png(path):
        return _deep_png(path)
    if (found := _deep_tiff(path, decode=True)) is not None:
        return cast(Array, found)
    with Image.open(path) as image:
        return displayed(image, channels)


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
