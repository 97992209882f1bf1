"""The infinite, step-based order of images, equal for any number of workers and devices."""

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from torch.utils.data import Sampler

from ssseg.data.datasets.base import Array
from ssseg.errors import UserError
from ssseg.seeding import seed_of


class Draw(NamedTuple):
    """One image of one training step."""

    stream: str
    """`labeled` or `unlabeled`."""
    step: int
    slot: int
    """Index in the global batch."""
    record: int
    """Index of the record in the stream."""


class Stream(NamedTuple):
    """The labeled or the unlabeled images."""

    name: str
    size: int
    """Number of records."""
    batch_size: int
    """Images per step over all devices."""


@lru_cache(maxsize=8)
def _order(seed: int, stream: str, epoch: int, size: int) -> Array:
    return np.random.default_rng(seed_of(seed, f"{stream} order", epoch)).permutation(size)


def draws(stream: Stream, seed: int, step: int) -> list[Draw]:
    """The global batch of a step: the next images of an infinite sequence of shuffled epochs."""
    first = step * stream.batch_size
    out = []
    for slot in range(stream.batch_size):
        epoch, place = divmod(first + slot, stream.size)
        record = int(_order(seed, stream.name, epoch, stream.size)[place])
        out.append(Draw(stream.name, step, slot, record))
    return out


class StepSampler(Sampler[list[Draw]]):
    """Infinite batches of `Draw`s: the share of this device in every stream.

    Args:
        streams: The streams of a batch.
        seed: Seed of the run.
        start: First step; above 0 for a resumed run.
        rank: Rank of this process.
        world_size: Number of processes.

    Raises:
        UserError: For a batch size that the number of processes does not divide.
    """

    def __init__(
        self, streams: list[Stream], seed: int, start: int = 0, rank: int = 0, world_size: int = 1
    ) -> None:
        for stream in streams:
            if stream.batch_size % world_size:
                raise UserError(
                    f"the {stream.name} batch of {stream.batch_size} cannot be divided among "
                    f"{world_size} devices; give a multiple of {world_size}"
                )
        self.streams, self.seed, self.start = streams, seed, start
        self.rank, self.world_size = rank, world_size

    def __iter__(self) -> Iterator[list[Draw]]:
        step = self.start
        while True:
            batch: list[Draw] = []
            for stream in self.streams:
                share = stream.batch_size // self.world_size
                mine = slice(self.rank * share, (self.rank + 1) * share)
                batch += draws(stream, self.seed, step)[mine]
            yield batch
            step += 1
