"""Torch data sets: read, resize, augment and normalise images, and stack them to batches."""

from collections.abc import Iterator, Sequence
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, default_collate

from ssseg.data.datasets.base import Array, Record, Source
from ssseg.data.nodata import filled
from ssseg.data.sampler import Draw
from ssseg.data.transforms import Normalize, TrainTransform
from ssseg.seeding import seed_of
from ssseg.types import IGNORE, Batch, Labeled, Unlabeled

Size = tuple[int, int]


class TrainImages(Dataset[Any]):
    """Labeled and unlabeled training images; the index is a `Draw`.

    Args:
        source: The data set; each image is read once per draw, for any number of views.
        labeled: Records of the labeled images.
        unlabeled: Records of the unlabeled images; their masks are not read.
        num_views: Views per unlabeled image.
        transform: The augmentation.
        normalize: The normalisation, applied after the augmentation.
        image_size: Height and width to which images are resized when they are read; None: images
            are not resized.
        seed: Seed of the run.
        unlabeled_truth: Read the masks of unlabeled images, for metrics.
    """

    def __init__(
        self,
        source: Source,
        labeled: Sequence[Record],
        unlabeled: Sequence[Record],
        *,
        num_views: int,
        transform: TrainTransform,
        normalize: Normalize,
        image_size: Size | None,
        seed: int,
        unlabeled_truth: bool = False,
    ) -> None:
        self.source, self.labeled, self.unlabeled = source, labeled, unlabeled
        self.num_views, self.transform, self.normalize = num_views, transform, normalize
        self.image_size, self.seed = image_size, seed
        self.unlabeled_truth = unlabeled_truth

    def __getitem__(self, draw: Draw) -> Labeled | tuple[Unlabeled, Tensor | None]:
        labeled = draw.stream == "labeled"
        record = (self.labeled if labeled else self.unlabeled)[draw.record]
        image, gaps = read_resized(self.source, record, self.image_size, self.normalize.mean)
        seed = seed_of(self.seed, draw.stream, draw.step, draw.slot)
        if labeled:
            mask = resize_mask(self.source.read_mask(record), image.shape[:2])
            mask = _ignored(mask, gaps)
            (view,), mask = self.transform(image, mask, 1, seed)
            return Labeled(self.normalize(view), torch.from_numpy(mask.astype(np.int64)))
        inside = _ignored(np.zeros(image.shape[:2], np.uint8), gaps)
        if not self.unlabeled_truth:
            views, inside = self.transform(image, inside, self.num_views, seed)
            truth = None
        else:
            # validity is its own channel, because every value in the mask may be a class
            truth = _ignored(self._truth(record, image.shape[:2]), gaps)
            both = np.stack((inside, truth), -1)
            views, both = self.transform(image, both, self.num_views, seed)
            inside, truth = both[..., 0], torch.from_numpy(both[..., 1].astype(np.int64))
        tensors = [self.normalize(view) for view in views]
        return Unlabeled(tensors, torch.from_numpy(inside != IGNORE)), truth

    def _truth(self, record: Record, size: Size) -> Any:
        if record.mask is None:
            return np.full(size, IGNORE, np.uint8)
        return resize_mask(self.source.read_mask(record), size)

    def collate(self, samples: list[Labeled | tuple[Unlabeled, Tensor | None]]) -> Batch:
        """Stack samples to a batch of labeled and unlabeled images."""
        labeled = default_collate([s for s in samples if isinstance(s, Labeled)])
        others = [s for s in samples if not isinstance(s, Labeled)]
        if not others:
            nothing = torch.zeros((0, *labeled.label.shape[1:]), dtype=torch.bool)
            return Batch(labeled, Unlabeled([], nothing))
        truth = [t for _, t in others if t is not None]
        unlabeled = default_collate([u for u, _ in others])
        return Batch(labeled, unlabeled, torch.stack(truth) if truth else None)


class EvalImages(Dataset[Labeled]):
    """Whole images (optionally resized) with masks at their original resolution.

    Args:
        source: The data set.
        records: Records of the images.
        normalize: The normalisation.
        image_size: Height and width to which images are resized; None: images are not resized.
        resize_masks: Also resize masks, as in older protocols.
        crop: Height and width of a centre crop of the (resized) image, as in older protocols; the
            mask is cropped to the same region at its own resolution.
    """

    def __init__(
        self,
        source: Source,
        records: Sequence[Record],
        normalize: Normalize,
        image_size: Size | None,
        *,
        resize_masks: bool = False,
        crop: Size | None = None,
    ) -> None:
        self.source, self.records = source, records
        self.normalize, self.image_size = normalize, image_size
        self.resize_masks, self.crop = resize_masks, crop

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> Labeled:
        record = self.records[index]
        image, gaps = read_resized(self.source, record, self.image_size, self.normalize.mean)
        mask = _ignored(self.source.read_mask(record), gaps)
        if self.resize_masks:
            mask = resize_mask(mask, image.shape[:2])
        if self.crop:
            image, mask = centres(image, mask, self.crop)
        return Labeled(self.normalize(image), torch.from_numpy(mask.astype(np.int64)))


def like_first(dataset: EvalImages) -> Iterator[Labeled]:
    """The samples with the size of the first one, read one after another."""
    shapes = None
    for place in range(len(dataset)):
        sample = dataset[place]
        shapes = shapes or (sample.image.shape, sample.label.shape)
        if (sample.image.shape, sample.label.shape) == shapes:
            yield sample


def centre(pixels: Any, size: Size) -> Any:
    """The centre crop of an image or mask; a shorter side is not cropped."""
    return pixels[_middle(pixels.shape[:2], size)]


def centres(image: Any, mask: Any, size: Size) -> tuple[Any, Any]:
    """The centre crop of an image and the same region of its mask, each at its own resolution.

    Args:
        image: (H, W, C).
        mask: (H', W').
        size: Height and width in pixels of the image; a shorter side is not cropped.
    """
    kept = _middle(image.shape[:2], size)
    same = []
    for part, length, fine in zip(kept, image.shape[:2], mask.shape, strict=True):
        start = round(part.start * fine / length)
        same.append(slice(start, max(start + 1, round(part.stop * fine / length))))
    return image[kept], mask[tuple(same)]


def _middle(sides: Sequence[int], size: Size) -> tuple[slice, ...]:
    kept = [min(side, wanted) for side, wanted in zip(sides, size, strict=True)]
    starts = [(side - part) // 2 for side, part in zip(sides, kept, strict=True)]
    return tuple(slice(start, start + part) for start, part in zip(starts, kept, strict=True))


def batches_of_like_size(source: Source, records: Sequence[Record], size: int) -> list[list[int]]:
    """Indices of records in batches of at most `size`, each with images of one size if known."""
    groups: dict[Size | None, list[int]] = {}
    for place, record in enumerate(records):
        groups.setdefault(source.size_of(record), []).append(place)
    return [
        group[start : start + size]
        for group in groups.values()
        for start in range(0, len(group), size)
    ]


def collate_by_size(samples: list[Labeled]) -> list[Labeled]:
    """Stack samples of the same size; each other size becomes a separate, smaller batch."""
    return [default_collate([samples[i] for i in group]) for group in by_size(samples)]


def by_size(samples: Sequence[Labeled]) -> list[list[int]]:
    """Indices of the samples, grouped by size of image and mask."""
    groups: dict[tuple[torch.Size, torch.Size], list[int]] = {}
    for place, sample in enumerate(samples):
        groups.setdefault((sample.image.shape, sample.label.shape), []).append(place)
    return list(groups.values())


def read_resized(
    source: Source, record: Record, size: Size | None, mean: Sequence[float] | Array
) -> tuple[Array, Array | None]:
    """Read an image, replace pixels without data, and resize it.

    Args:
        source: The data set.
        record: The record of the image.
        size: Height and width; None: the image is not resized.
        mean: Value per channel for pixels without data.

    Returns:
        The image (h, w, C), and the pixels without data, (H, W) bool at the size of the file, or
        None.
    """
    image = source.read_image(record)
    gaps = source.gaps(record, image)
    image = filled(image, mean)
    return image if size is None else resize_image(image, size), gaps


def _ignored(mask: Any, gaps: Array | None) -> Any:
    """A mask with IGNORE where the image has no data."""
    if gaps is None:
        return mask
    return np.where(resize_mask(gaps.astype(np.uint8), mask.shape), np.uint8(IGNORE), mask)


def resize_image(image: Any, size: Size) -> Any:
    """Resize an image (H, W, C); by averaging if it becomes smaller, else bilinear."""
    if image.shape[:2] == tuple(size):
        return image
    smaller = size[0] * size[1] < image.shape[0] * image.shape[1]
    how = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    resized = cv2.resize(image, (size[1], size[0]), interpolation=how)
    return resized.reshape(*resized.shape[:2], -1)


def resize_mask(mask: Any, size: tuple[int, int]) -> Any:
    """Resize a mask (H, W), nearest neighbour."""
    if mask.shape == tuple(size):
        return mask
    return cv2.resize(mask, (size[1], size[0]), interpolation=cv2.INTER_NEAREST_EXACT)
