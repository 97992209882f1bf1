"""Writes files that other processes may read at the same time."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """A draft beside a file, to write to; in the end it takes the file's place, in one move.

    Where writing fails or is cut off, the file is what it was.

    Args:
        path: Of the file.
    """
    draft = path.with_name(f"{path.name}.part")
    yield draft
    draft.replace(path)
