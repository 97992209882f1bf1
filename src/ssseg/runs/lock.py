"""Locks of run folders: a second process gets an error, or the next free name."""

import os
from collections.abc import Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path

from filelock import FileLock, Timeout

from ssseg.errors import UserError

PATIENCE = 1.0
"""Seconds in which a folder is asked for again: `is_held` has it for an instant."""


class FolderHeldError(UserError):
    """Another process has the lock of the folder."""


class FolderLock:
    """Holds a run folder until it is released or its process ends, however that happens.

    The lock is the operating system's, on a hidden file beside the folder; the file holds the
    number of the process. Processes that this one starts, such as those that read images, hold
    nothing.

    Args:
        folder: It need not exist yet.
        patience: Seconds to ask again where another process holds it.

    Raises:
        FolderHeldError: If another process holds it.
    """

    def __init__(self, folder: Path, patience: float = PATIENCE) -> None:
        self.folder, self.path = folder, _file(folder)
        self._made = [p for p in self.path.parents if not p.exists()]
        self._lock = FileLock(self.path, thread_local=False)
        while not self._lock.is_locked:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            try:
                self._lock.acquire(timeout=patience, poll_interval=0.01)
            except FileNotFoundError:  # who had made the parent has removed it again
                continue
            except Timeout as held:
                raise FolderHeldError(
                    f"{folder} is being trained by another process{_whose(self.path)}; wait for "
                    "it, end it, or give another folder"
                ) from held
        self.path.write_text(str(os.getpid()), encoding="utf-8")

    def release(self) -> None:
        """Release the lock and remove the folder if it is empty; a second call does nothing."""
        if not self._lock.is_locked:
            return
        let_go(self._lock, self.path)
        with suppress(OSError):  # that a run was made in
            for parent in self._made:
                parent.rmdir()


def first_free(stem: Path) -> FolderLock:
    """Holds the first of NAME, NAME-2, NAME-3, ... that is not there and that nobody holds.

    Of processes that ask at the same time each gets a name of its own.

    Args:
        stem: The folder that is taken where it is free.
    """
    for folder in names(stem):
        if folder.exists():
            continue
        with suppress(FolderHeldError):
            lock = FolderLock(folder, patience=0)
            if not folder.exists():  # its last holder may just have made it
                return lock
            lock.release()
    raise AssertionError("there is always a larger number")


def names(stem: Path) -> Iterator[Path]:
    """NAME, NAME-2, NAME-3, ... without an end."""
    yield stem
    for number in count(2):
        yield stem.with_name(f"{stem.name}-{number}")


def is_held(folder: Path) -> bool:
    """Whether some process trains in this folder just now."""
    path = _file(folder)
    if not path.is_file():
        return False
    lock = FileLock(path, thread_local=False)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        return True
    let_go(lock, path)
    return False


def let_go(lock: FileLock, path: Path) -> None:
    """Release a lock and leave no file of it behind.

    Args:
        lock: That this process holds.
        path: Of its file.
    """
    with suppress(OSError):  # Windows removes no open file: the next holder writes over it
        path.unlink()
    lock.release()


def _file(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.lock")


def _whose(path: Path) -> str:
    with suppress(OSError):
        number = path.read_text(encoding="utf-8").strip()
        return f" (number {number})" if number else ""
    return ""
