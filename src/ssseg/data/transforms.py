"""Augmentation with albumentations, applied to image, mask and validity, with a seed per image."""

import os
import random
from collections.abc import Sequence
from typing import Any, Literal

# stops albumentations from checking for a new version on the internet when it is imported
os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"

import albumentations as A
import cv2
import numpy as np
import torch
from torch import Tensor

from ssseg.data.datasets.base import Array, Pixels
from ssseg.data.random_intensity import random_intensity
from ssseg.seeding import seed_of
from ssseg.types import IGNORE

Strong = Literal["jitter", "random_intensity"]


class Normalize:
    """Images (H, W, C) to normalised float tensors (C, H, W).

    Args:
        mean: Mean per channel, in [0, 1] for 8-bit images.
        std: Standard deviation per channel, in the unit of `mean`.
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        self.mean, self.std = np.asarray(mean, np.float32), np.asarray(std, np.float32)

    def __call__(self, image: Array) -> Tensor:
        """Image (H, W, C), uint8 or float32 in the unit of `mean` -> (C, H, W) float32."""
        unit = np.float32(255 if image.dtype == np.uint8 else 1)
        scaled = (image.astype(np.float32) - self.mean * unit) / (self.std * unit)
        return torch.from_numpy(np.ascontiguousarray(scaled.transpose(2, 0, 1)))


class TrainTransform:
    """Random scale, rotation, crop and flip (the weak view), then photometric changes (strong).

    All views of an image have the same geometry. The mask is IGNORE outside the image.

    Hue, saturation and grey are changed only for three channels, brightness and contrast only for
    values with a known range (8 and 16 bits); blur is applied to all images.

    Args:
        crop_size: Height and width of the result, in pixels.
        scale: Smallest and largest factor of the random scale.
        flip: Whether half of the images are flipped horizontally.
        channels: Number of channels of the images.
        rotation: Largest angle of the random rotation in both directions, in degrees.
        jitter: Strength of the colour changes of the weak view.
        pixels: Kind of values in the image files.
        strong: Photometric changes of the strong views: colour jitter, grey and blur (`jitter`), or
            those of AugSeg (`random_intensity`), which need 8-bit RGB images.
    """

    def __init__(
        self,
        crop_size: tuple[int, int],
        scale: tuple[float, float],
        flip: bool,
        channels: int,
        *,
        rotation: float = 0.0,
        jitter: float = 0.0,
        pixels: Pixels = "uint8",
        strong: Strong = "jitter",
    ) -> None:
        height, width = crop_size
        steps: list[Any] = []
        if scale != (1, 1):
            # OpenCV's INTER_NEAREST shifts masks by up to half a pixel against the image;
            # scale_limit is relative to 1
            exact = cv2.INTER_NEAREST_EXACT
            limit = (scale[0] - 1, scale[1] - 1)
            steps.append(A.RandomScale(limit, mask_interpolation=exact, p=1))
        if rotation:
            border = {"border_mode": cv2.BORDER_CONSTANT, "fill": 0, "fill_mask": IGNORE}
            steps.append(A.Rotate((-rotation, rotation), p=1, **border))
        steps += [
            A.PadIfNeeded(height, width, border_mode=cv2.BORDER_CONSTANT, fill_mask=IGNORE),
            A.RandomCrop(height, width),
        ]
        if flip:
            steps.append(A.HorizontalFlip(p=0.5))
        self.pixels = pixels
        self.geometry = A.Compose(steps)
        self.weak = A.Compose(_colors(channels, pixels, jitter, 1.0) if jitter else [])
        grey = [A.ToGray(p=0.2)] if channels == 3 and pixels != "float" else []
        blur = A.GaussianBlur(blur_limit=0, sigma_limit=(0.1, 2.0), p=0.5)
        self.random_intensity = strong == "random_intensity"
        self.strong = A.Compose([*_colors(channels, pixels, 0.5, 0.8), *grey, blur])

    def __call__(
        self, image: Array, mask: Array, num_views: int, seed: int
    ) -> tuple[list[Array], Array]:
        """The views of one image, weak first, and its mask.

        Args:
            image: (H, W, C) uint8, or float32.
            mask: (H, W) uint8, or (H, W, K) for several masks with the same geometry.
            num_views: Number of views.
            seed: Seed of all random choices.

        Returns:
            Views (h, w, C) and mask (h, w), with the height and width of the crop.
        """
        _seed(self.geometry, seed_of(seed, "geometry"))
        _seed(self.weak, seed_of(seed, "weak"))
        _seed(self.strong, seed_of(seed, "strong"))
        moved = self.geometry(image=image, mask=mask)
        clean = moved["image"]
        views = [self.weak(image=clean)["image"]]
        rng = np.random.default_rng(seed_of(seed, "strong"))
        views += [self._strong_view(clean, rng) for _ in range(num_views - 1)]
        return views, moved["mask"]

    def _strong_view(self, image: Array, rng: np.random.Generator) -> Array:
        if self.random_intensity:
            return random_intensity(image, rng)
        if self.pixels != "float":
            plain: Array = self.strong(image=image)["image"]
            return plain
        # albumentations clips floats to [0, 1], so the image is scaled to [0, 1] for the blur
        low, high = image.min(), image.max()
        unit = max(high - low, np.finfo(np.float32).tiny)
        moved: Array = self.strong(image=(image - low) / unit)["image"] * unit + low
        return moved


def _seed(pipeline: A.Compose, seed: int) -> None:
    """Seed a pipeline; all its transforms draw from one generator.

    `set_random_seed` would give each transform its own generator with the same seed, so that their
    first random numbers would be equal.
    """
    pipeline.set_random_state(np.random.default_rng(seed), random.Random(seed))


def _colors(channels: int, pixels: Pixels, strength: float, often: float) -> list[Any]:
    """Transforms that change colours; none for float images."""
    if pixels == "float":  # unit and range are unknown, e.g. heights in metres
        return []
    around = (max(0.0, 1 - strength), 1 + strength)
    if channels == 3:
        return [A.ColorJitter(around, around, around, (-strength / 2, strength / 2), p=often)]
    limit = (-0.4 * strength, 0.4 * strength)
    return [A.RandomBrightnessContrast(limit, limit, p=often)]
