"""The strong views of AugSeg: a random number of random changes of intensity, one after another.

Zhao et al., "Augmentation matters", CVPR 2023.
"""

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

from ssseg.data.datasets.base import Array

MOST = 3
"""Largest number of changes of one image."""

Change = Callable[[Image.Image, np.random.Generator], Image.Image]


def _enhance(kind: Callable[[Image.Image], ImageEnhance._Enhance]) -> Change:
    """Towards grey, black or blurred by a factor from U(0.05, 0.95), never away from it."""
    return lambda image, rng: kind(image).enhance(rng.uniform(0.05, 0.95))


def _blur(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    return image.filter(ImageFilter.GaussianBlur(rng.uniform(0.1, 2.0)))


def _hue(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Turn the hue by up to half of the circle in both directions."""
    pixels = np.array(image.convert("HSV"))
    turn = round(256 * rng.uniform(-0.5, 0.5)) % 256
    pixels[..., 0] += np.uint8(turn)  # 256 values are the circle, so that an overflow is right
    return Image.fromarray(pixels, "HSV").convert("RGB")


CHANGES: dict[str, Change] = {
    "identity": lambda image, rng: image,
    "autocontrast": lambda image, rng: ImageOps.autocontrast(image),
    "equalize": lambda image, rng: ImageOps.equalize(image),
    "blur": _blur,
    "contrast": _enhance(ImageEnhance.Contrast),
    "brightness": _enhance(ImageEnhance.Brightness),
    "saturation": _enhance(ImageEnhance.Color),
    "sharpness": _enhance(ImageEnhance.Sharpness),
    "posterize": lambda image, rng: ImageOps.posterize(image, int(rng.integers(4, 8))),
    "solarize": lambda image, rng: ImageOps.solarize(image, int(rng.integers(1, 256))),
    "hue": _hue,
}
"""The changes by name; each is as likely as any other."""


def random_intensity(image: Array, rng: np.random.Generator) -> Array:
    """Apply one to `MOST` changes, drawn with replacement, to an image (H, W, 3) uint8."""
    names = rng.choice(list(CHANGES), size=int(rng.integers(1, MOST + 1)))
    changed = Image.fromarray(np.ascontiguousarray(image))
    for name in names:
        changed = CHANGES[name](changed, rng)
    return np.asarray(changed)
