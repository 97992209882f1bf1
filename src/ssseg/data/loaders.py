"""The DataLoaders of training and evaluation."""

from typing import Any, NamedTuple

import torch
from torch.utils.data import DataLoader, Dataset

from ssseg.data.info import DrawnBatch
from ssseg.data.sampler import StepSampler
from ssseg.data.timed_loader import Waiting, WatchedLoader
from ssseg.data.torch_datasets import (
    EvalImages,
    TrainImages,
    batches_of_like_size,
    collate_by_size,
)


class TrainBatches(NamedTuple):
    """Training images and their order."""

    dataset: TrainImages
    sampler: StepSampler

    def loader(self, num_workers: int, watch: Waiting) -> DataLoader[Any]:
        """A loader of infinitely many `Batch`es.

        Args:
            num_workers: Processes that read images.
            watch: Sum of the time that training waits.
        """
        collate = self.dataset.collate
        return _loader(self.dataset, collate, num_workers, watch, batch_sampler=self.sampler)

    def first(self) -> DrawnBatch:
        """The first batch, read in this process."""
        draws = next(iter(self.sampler))
        ids: dict[str, list[str]] = {"labeled": [], "unlabeled": []}
        for draw in draws:
            records = self.dataset.labeled if draw.stream == "labeled" else self.dataset.unlabeled
            ids[draw.stream].append(records[draw.record].id)
        return DrawnBatch(self.dataset.collate([self.dataset[draw] for draw in draws]), **ids)


def eval_loader(images: EvalImages, batch_size: int, num_workers: int) -> DataLoader[Any]:
    """A loader of all images, each once; a batch is a list of `Labeled`, one per size of image.

    Args:
        images: The images of this device.
        batch_size: Images per step.
        num_workers: Processes that read images.
    """
    # a device without images needs one empty batch, because the other devices wait for it
    batches = batches_of_like_size(images.source, images.records, batch_size) or [[]]
    return _loader(images, collate_by_size, num_workers, Waiting(), batch_sampler=batches)


def _loader(
    dataset: Dataset[Any], collate: Any, num_workers: int, watch: Waiting, **options: Any
) -> DataLoader[Any]:
    return WatchedLoader(
        watch,
        dataset,
        collate_fn=collate,
        num_workers=num_workers,
        pin_memory=torch.cuda.is_available(),
        # a separate generator, because the loader draws a base seed, which must not change the
        # global random state
        generator=torch.Generator().manual_seed(0),
        **options,
    )
