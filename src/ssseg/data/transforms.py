"""Augmentation with albumentations: image, mask and validity together, seeded per image."""

import os
from collections.abc import Sequence
from typing import Any

# albumentations asks the network for a newer version of itself when it is imported
os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"

import albumentations as A
import cv2
import numpy as np
import torch
from torch import Tensor

from ssseg.data.datasets.base import Array
from ssseg.types import IGNORE

# worker processes are the unit of parallelism; OpenCV's own threads would fight them for cores
cv2.setNumThreads(0)


class Normalize:
    """uint8 (H, W, C) images to normalised float tensors (C, H, W)."""

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        self.mean = np.asarray(mean, np.float32) * 255
        self.std = np.asarray(std, np.float32) * 255

    def __call__(self, image: Array) -> Tensor:
        """The tensor of one image, float32."""
        scaled = (image.astype(np.float32) - self.mean) / self.std
        return torch.from_numpy(np.ascontiguousarray(scaled.transpose(2, 0, 1)))


class TrainTransform:
    """Random scale, crop and flip (the weak view), then photometric changes (strong views).

    The views of one image share their geometry. Padding is IGNORE in the mask.

    Args:
        crop_size: Height and width of the result.
        scale: Smallest and largest factor of the random scale.
        flip: Whether to mirror half of the images.
        channels: Of the images; changes of colour are only defined for 3.
    """

    def __init__(
        self, crop_size: tuple[int, int], scale: tuple[float, float], flip: bool, channels: int
    ) -> None:
        height, width = crop_size
        steps: list[Any] = []
        if scale != (1, 1):
            # the plain nearest neighbour of OpenCV moves masks by up to half a pixel against the
            # image; scale_limit is relative: 0 leaves the size alone
            exact = cv2.INTER_NEAREST_EXACT
            limit = (scale[0] - 1, scale[1] - 1)
            steps.append(A.RandomScale(limit, mask_interpolation=exact, p=1))
        steps += [
            A.PadIfNeeded(height, width, border_mode=cv2.BORDER_CONSTANT, fill_mask=IGNORE),
            A.RandomCrop(height, width),
        ]
        if flip:
            steps.append(A.HorizontalFlip(p=0.5))
        self.geometry = A.Compose(steps)
        blur = A.GaussianBlur(blur_limit=0, sigma_limit=(0.1, 2.0), p=0.5)
        if channels == 3:
            jitter = A.ColorJitter((0.5, 1.5), (0.5, 1.5), (0.5, 1.5), (-0.25, 0.25), p=0.8)
            self.photometry = A.Compose([jitter, A.ToGray(p=0.2), blur])
        else:
            self.photometry = A.Compose([A.RandomBrightnessContrast(p=0.8), blur])

    def __call__(
        self, image: Array, mask: Array, num_views: int, seed: int
    ) -> tuple[list[Array], Array]:
        """The views of one image, weak first, and its mask.

        Args:
            image: (H, W, C) uint8.
            mask: (H, W) uint8.
            num_views: How many views.
            seed: Decides everything that is random.
        """
        self.geometry.set_random_seed(seed % 2**32)
        moved = self.geometry(image=image, mask=mask)
        views = [moved["image"]]
        if num_views > 1:
            self.photometry.set_random_seed(seed % 2**32)
            views += [self.photometry(image=views[0])["image"] for _ in range(num_views - 1)]
        return views, moved["mask"]
