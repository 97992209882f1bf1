"""Augmentation with albumentations: image, mask and validity together, seeded per image."""

import os
import random
from collections.abc import Sequence
from typing import Any

# albumentations asks the network for a newer version of itself when it is imported
os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"

import albumentations as A
import cv2
import numpy as np
import torch
from torch import Tensor

from ssseg.data.datasets.base import Array, Pixels
from ssseg.seeding import seed_of
from ssseg.types import IGNORE


class Normalize:
    """Images (H, W, C) to normalised float tensors (C, H, W).

    Args:
        mean: Per channel; of 8-bit images in [0, 1].
        std: Per channel; the same.
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        self.mean, self.std = np.asarray(mean, np.float32), np.asarray(std, np.float32)

    def __call__(self, image: Array) -> Tensor:
        """The tensor of one image (uint8, or float32 in the unit of mean and std), float32."""
        unit = np.float32(255 if image.dtype == np.uint8 else 1)
        scaled = (image.astype(np.float32) - self.mean * unit) / (self.std * unit)
        return torch.from_numpy(np.ascontiguousarray(scaled.transpose(2, 0, 1)))


class TrainTransform:
    """Random scale, rotation, crop and flip (the weak view), then photometric changes (strong).

    The views of one image share their geometry. What lies outside the image is IGNORE in the mask.

    Colour changes are made where they are defined: hue, saturation and grey for three channels,
    brightness and contrast for values with a known range (8 and 16 bits), blur everywhere.

    Args:
        crop_size: Height and width of the result.
        scale: Smallest and largest factor of the random scale.
        flip: Whether to mirror half of the images.
        channels: Of the images.
        rotation: Largest angle, in degrees, either way.
        jitter: Strength of the colour changes of the weak view.
        pixels: How the images are stored.
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
    ) -> None:
        height, width = crop_size
        steps: list[Any] = []
        if scale != (1, 1):
            # the plain nearest neighbour of OpenCV moves masks by up to half a pixel against the
            # image; scale_limit is relative: 0 leaves the size alone
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
        self.strong = A.Compose([*_colors(channels, pixels, 0.5, 0.8), *grey, blur])

    def __call__(
        self, image: Array, mask: Array, num_views: int, seed: int
    ) -> tuple[list[Array], Array]:
        """The views of one image, weak first, and its mask.

        Args:
            image: (H, W, C) uint8, or float32.
            mask: (H, W) uint8, or (H, W, K) for several that move alike.
            num_views: How many views.
            seed: Decides everything that is random.
        """
        _seed(self.geometry, seed_of(seed, "geometry"))
        _seed(self.weak, seed_of(seed, "weak"))
        _seed(self.strong, seed_of(seed, "strong"))
        moved = self.geometry(image=image, mask=mask)
        clean = moved["image"]
        views = [self.weak(image=clean)["image"]]
        views += [self._strong_view(clean) for _ in range(num_views - 1)]
        return views, moved["mask"]

    def _strong_view(self, image: Array) -> Array:
        if self.pixels != "float":
            plain: Array = self.strong(image=image)["image"]
            return plain
        # albumentations clips floats to [0, 1]; blur does not mind being asked there
        low, high = image.min(), image.max()
        unit = max(high - low, np.finfo(np.float32).tiny)
        moved: Array = self.strong(image=(image - low) / unit)["image"] * unit + low
        return moved


def _seed(pipeline: A.Compose, seed: int) -> None:
    """Start a pipeline's random numbers anew; its transforms take theirs in turn from one source.

    `set_random_seed` would give each of them a source of its own in the same state, so that all
    their first draws would be the same number.
    """
    pipeline.set_random_state(np.random.default_rng(seed), random.Random(seed))


def _colors(channels: int, pixels: Pixels, strength: float, often: float) -> list[Any]:
    """Changes of colour; nothing where none is defined."""
    if pixels == "float":  # of unknown unit and range: a height in metres has no brightness
        return []
    around = (max(0.0, 1 - strength), 1 + strength)
    if channels == 3:
        return [A.ColorJitter(around, around, around, (-strength / 2, strength / 2), p=often)]
    limit = (-0.4 * strength, 0.4 * strength)
    return [A.RandomBrightnessContrast(limit, limit, p=often)]
