"""OpenCV's own threads: none where reading is spread over processes, which they would fight."""

from collections.abc import Iterator
from contextlib import contextmanager

import cv2

from ssseg.runs.quiet import ignore_messages


@contextmanager
def one_thread() -> Iterator[None]:
    """Inside, OpenCV computes in the thread that asks; afterwards as before."""
    threads = cv2.getNumThreads()
    cv2.setNumThreads(0)
    try:
        yield
    finally:
        cv2.setNumThreads(threads)


def begin_worker(number: int) -> None:
    """What a process that reads images does first.

    Args:
        number: Of the worker, as a DataLoader counts them.
    """
    cv2.setNumThreads(0)
    ignore_messages()
