"""Images as Python objects, read as strictly as files are: PIL images, arrays, tensors."""

from typing import Any

import numpy as np
from PIL import Image, ImageOps
from torch import Tensor

from ssseg.data.datasets.base import Array, Pixels
from ssseg.data.image_io import displayed
from ssseg.errors import UserError

LARGEST = {"uint8": 255, "uint16": 65535}
"""Value that is 1 where a picture is in float."""
ROUNDING = 1e-3
"""How far a float may lie outside of [0, 1]."""


def pixels_of(image: Image.Image | Array | Tensor, channels: int, kind: Pixels) -> Array:
    """The pixels of an image, as `read_image` gives those of a file.

    Args:
        image: A PIL image, an array (H, W) or (H, W, C), or a tensor (H, W) or (C, H, W). Floats of
            an 8-bit or 16-bit picture are from 0 to 1.
        channels: That are wanted. PIL images of 8 bits are converted, grey arrays become colour.
        kind: The kind of values that is wanted.

    Returns:
        (H, W, channels): uint8 as they are; float32 in [0, 1] of `uint16` and of pictures in float;
        float32 as they are for `float`.

    Raises:
        UserError: For an image of another kind or shape, or with values that are no numbers.
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
    """Modes of more than 8 bits as they are: Pillow would clip them."""
    if image.mode != "F" and not image.mode.startswith("I"):
        return displayed(image, channels)
    found: Array = np.asarray(ImageOps.exif_transpose(image))
    found = found.astype(found.dtype.newbyteorder("="))
    # Pillow opens some files of 16 bits in 32
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
    """Whether files of these values count as float: whole numbers, but neither 8 nor 16 bits."""
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
