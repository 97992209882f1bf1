"""The largest batch that fits, found by trying, and how fast each size is."""

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import repeat
from typing import NamedTuple

import torch
from pytorch_lightning import Trainer

from ssseg.data.module import SegmentationData
from ssseg.runs.environment import peak_memory
from ssseg.training.memory import available_memory
from ssseg.training.module import SegmentationModule
from ssseg.training.step_timer import StepTimer

TIMED = 2
"""Timed steps of each size; one step before them is not timed."""
SPARE = 0.95
"""Share of the memory that batches may take; other programs and fragmentation need the rest."""
LIMIT = 4096
"""Largest number of labeled images that is tried."""


class TriedBatch(NamedTuple):
    """One size of the batch."""

    batch_size: int
    """Labeled images on a device."""
    memory_mb: float
    """The most that was held at once: by the GPU's allocator, else by the process."""
    images_per_second: float
    """Labeled and unlabeled ones, without reading them."""


def search(
    attempt: Callable[[int], TriedBatch | None], first: int, most: int, room: float = math.inf
) -> list[TriedBatch]:
    """Double the batch until it does not fit, then halve the distance.

    A size is not tried if a line through the two largest sizes so far says that it does not fit: on
    a CPU, a process that runs out of memory is killed without an error.

    Args:
        attempt: Tries a size; None if it does not fit.
        first: Smallest size.
        most: Largest size.
        room: MB that may be held.

    Returns:
        The sizes that fit, growing.
    """
    fits: list[TriedBatch] = []
    size, beyond = first, most + 1
    while True:
        done = None if _extrapolated(fits, size) > room else attempt(size)
        if done is None:
            beyond = size
        else:
            fits.append(done)
        known = fits[-1].batch_size if fits else 0
        if not fits or beyond - known <= max(
            1, known // 8
        ):  # an eighth more is not worth more tries
            return fits
        size = min(2 * known, beyond - 1) if beyond > most else (known + beyond) // 2


def _extrapolated(fits: Sequence[TriedBatch], size: int) -> float:
    """MB of a size, extrapolated from the two largest that were tried."""
    if len(fits) < 2:
        return 0.0
    one, two = fits[-2:]
    slope = (two.memory_mb - one.memory_mb) / (two.batch_size - one.batch_size)
    return two.memory_mb + slope * (size - two.batch_size)


class BatchSizeFinder:
    """Tries batches of one run on its device.

    Args:
        trainer: That would train.
        module: To be trained.
        data: Of the run.
    """

    def __init__(
        self, trainer: Trainer, module: SegmentationModule, data: SegmentationData
    ) -> None:
        self.steps = StepTimer(trainer, module, data)
        self.data, self.device = data, self.steps.device
        self.ratio = data.unlabeled_batch_size / data.batch_size if module.num_views else 0.0
        data.num_workers = 0
        self.steps.validation()  # it needs memory too, whatever the batch

    @property
    def most(self) -> int:
        """Largest possible number of labeled images in a batch: each comes at most once."""
        most = len(self.data.split.labeled)
        if self.ratio:
            most = min(most, int(len(self.data.unlabeled) / self.ratio))
        return max(1, min(most, LIMIT))

    @property
    def room(self) -> float:
        """MB that this process may hold."""
        if self.device.type == "cuda":
            free, _ = torch.cuda.mem_get_info(self.device)
            return SPARE * (free + torch.cuda.memory_reserved(self.device)) / 2**20
        return peak_memory() + SPARE * available_memory() / 2**20

    def attempt(self, size: int) -> TriedBatch | None:
        """Time steps at the end of the run, with every loss term; None where they do not fit."""
        data, cuda = self.data, self.device.type == "cuda"
        data.batch_size = size
        data.unlabeled_batch_size = max(1, round(self.ratio * size))
        images = size + (data.unlabeled_batch_size if self.ratio else 0)
        batches: Iterator = repeat(data.draw(0).batch)  # type: ignore[type-arg]
        if cuda:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(self.device)
        try:
            index = self.steps.steps - 1
            self.steps.step(batches, index)
            seconds = min(self.steps.step(batches, index) for _ in range(TIMED))
        except torch.OutOfMemoryError:
            self.steps.optimizer.zero_grad()
            return None
        held = torch.cuda.max_memory_reserved(self.device) / 2**20 if cuda else peak_memory()
        return TriedBatch(size, held, images / seconds)
