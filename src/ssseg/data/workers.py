"""Turns off OpenCV's threads in worker processes, which would compete for the cores."""

from collections.abc import Iterator
from contextlib import contextmanager

import cv2

from ssseg.runs.quiet import ignore_messages


@contextmanager
def one_thread() -> Iterator[None]:
    """A context in which OpenCV uses one thread."""
    threads = cv2.getNumThreads()
    cv2.setNumThreads(0)
    try:
        yield
    finally:
        cv2.setNumThreads(threads)


def begin_worker(number: int) -> None:
    """Set up a worker process of a DataLoader.

    Args:
        number: Index of the worker.
    """
    cv2.setNumThreads(0)
    ignore_messages()
