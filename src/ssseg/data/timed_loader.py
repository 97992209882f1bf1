"""A DataLoader that measures the time that training waits for data."""

import time
from collections.abc import Iterator
from typing import Any

from torch.utils.data import DataLoader

from ssseg.data.workers import begin_worker


class Waiting:
    """The sum of the time spent in waiting for the next batch."""

    def __init__(self) -> None:
        self.seconds = 0.0


class WatchedLoader(DataLoader[Any]):
    """A DataLoader that measures the time spent in `next`.

    Args:
        watch: Sum of the times.
        dataset: The data set.
        **options: Further arguments of `DataLoader`.
    """

    def __init__(self, watch: Waiting, dataset: Any, **options: Any) -> None:
        super().__init__(dataset, worker_init_fn=begin_worker, **options)
        self._watch = watch

    def __iter__(self) -> Any:
        return _Watched(super().__iter__(), self._watch)


class _Watched:
    def __init__(self, batches: Iterator[Any], watch: Waiting) -> None:
        self._batches, self._watch = batches, watch

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        started = time.perf_counter()
        try:
            return next(self._batches)
        finally:
            self._watch.seconds += time.perf_counter() - started

    def __getattr__(self, name: str) -> Any:
        """Attributes of the iterator of the DataLoader."""
        return getattr(self._batches, name)
