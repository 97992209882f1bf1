"""Images as Python objects (PIL images, arrays, tensors), with the same checks as for files."""

from typing import Any

import numpy as np
from PIL import Image, ImageOps
from torch import Tensor

from ssseg.data.datasets.base import Array, Pixels
from ssseg.data.image_io import displayed
from ssseg.errors import UserError

LARGEST = {"uint8": 255, "uint16": 65535}
"""Kind of values -> the value that corresponds to 1.0 in float."""
ROUNDING = 1e-3
"""Tolerance for floats outside [0, 1]."""


def pixels_of(image: Image.Image | Array | Tensor, channels: int, kind: Pixels) -> Array:
    """The pixels of an image, as `read_image` returns them for a file.

    Args:
        image: A PIL image, an array (H, W) or (H, W, C), or a tensor (H, W) or (C, H, W). Floats of
            an 8-bit or 16-bit image are in [0, 1].
        channels: Number of channels of the result. 8-bit PIL images are converted; arrays with one
            channel become RGB.
        kind: Kind of values of the result.

    Returns:
        (H, W, channels): uint8 for `uint8` images; float32 in [0, 1] for `uint16` and for float
        images with a `kind` of `uint8` or `uint16`; float32 with unchanged values for `float`.

    Raises:
        UserError: For an image of another kind or shape, or with NaN or infinite values.
    """
    if isinstance(image, Image.Image):
        found = _of_pillow(image, channels, kind)
    elif isinstance(image, Tensor):
        found = image.detach().cpu().numpy()
        found = np.moveaxis(found, 0, -1) if found.ndim == 3 else found
    else:
        found = np.asarray(image)
    found = found[..., None] if found.ndim == 2 else found
    if found.ndim == 3 and found.shape[-1] == 1 and channels == 3:
        found = found.repeat(3, -1)
    if found.ndim != 3 or found.shape[-1] != channels:
        raise UserError(
            f"the image is an array of shape {tuple(found.shape)}; expected height, width and "
            f"{channels} channels (a tensor: channels first)"
        )
    return _of_kind(found, kind)


def _of_pillow(image: Image.Image, channels: int, kind: Pixels) -> Array:
    """Pixels of a PIL image; modes with more than 8 bits are not converted, Pillow clips them."""
    if image.mode != "F" and not image.mode.startswith("I"):
        return displayed(image, channels)
    found: Array = np.asarray(ImageOps.exif_transpose(image))
    found = found.astype(found.dtype.newbyteorder("="))
    # Pillow opens some 16-bit files in a 32-bit mode
    if kind == "uint16" and image.mode == "I" and 0 <= found.min() <= found.max() <= 65535:
        return found.astype(np.uint16)
    return found


def _of_kind(pixels: Array, kind: Pixels) -> Array:
    if np.issubdtype(pixels.dtype, np.floating):
        return _floats(pixels.astype(np.float32), kind)
    if pixels.dtype != np.dtype(kind) and not (kind == "float" and _whole_numbers(pixels.dtype)):
        raise UserError(
            f"the image holds {pixels.dtype}, but the model was trained on {kind}; convert it"
        )
    if kind == "uint8":
        return pixels
    return pixels.astype(np.float32) / LARGEST.get(kind, 1)


def _whole_numbers(dtype: np.dtype[Any]) -> bool:
    """Whether a dtype is an integer type that is read as float: not uint8 and not uint16."""
    return np.issubdtype(dtype, np.integer) and dtype not in (np.uint8, np.uint16)


def _floats(pixels: Array, kind: Pixels) -> Array:
    if not np.isfinite(pixels).all():
        raise UserError(
            "the image holds values that are no numbers (NaN or infinite); replace them by a "
            "number, such as the mean"
        )
    if kind == "float" or not pixels.size:
        return pixels
    low, high = float(pixels.min()), float(pixels.max())
    if low < -ROUNDING or high > 1 + ROUNDING:
        raise UserError(
            f"the image holds floats from {low:.3g} to {high:.3g}, but those of a picture of "
            f"{kind} are expected from 0 to 1; divide its values by {LARGEST[kind]}, or give them "
            f"as {kind} (they are normalised here)"
        )
    return pixels
