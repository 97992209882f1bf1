"""Reading checkpoints of ours, each once in a command; code in a file is never run."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import torch

from ssseg.errors import UserError

Contents = dict[str, Any]
_KEPT: ContextVar[dict[tuple[int, ...], Contents] | None] = ContextVar("checkpoints", default=None)


@contextmanager
def each_read_once() -> Iterator[None]:
    """Inside, the contents of a checkpoint are kept for the next one who asks for the same file.

    A command looks into a checkpoint several times before Lightning restores from it, and a
    checkpoint may be some GB.
    """
    token = _KEPT.set({})
    try:
        yield
    finally:
        _KEPT.reset(token)


def read_checkpoint(path: str | Path) -> Contents:
    """The contents of a checkpoint of ours, on the CPU; code in the file is never run.

    Returns:
        What all others who read the file get too, inside of `each_read_once`: do not change it.

    Raises:
        UserError: For a file that is missing or no such checkpoint.
    """
    if not Path(path).is_file():
        raise UserError(f"there is no checkpoint {path}; expected a file in a run's checkpoints/")
    kept = _KEPT.get()
    if kept is None:
        return _read(path)
    found = Path(path).stat()
    key = (found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size)
    if key not in kept:
        kept[key] = _read(path)
    return kept[key]


def take_checkpoint(path: str | Path) -> Contents:
    """The contents of a checkpoint, for the last one who asks: none is kept any longer.

    Raises:
        UserError: As `read_checkpoint`.
    """
    saved = read_checkpoint(path)
    kept = _KEPT.get()
    if kept is not None:
        kept.clear()
    return saved


def _read(path: str | Path) -> Contents:
    try:
        saved: Contents = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise UserError(
            f"{path} is not a checkpoint ({type(error).__name__} while reading it); "
            "expected a file in a run's checkpoints/"
        ) from error
    if not isinstance(saved, dict) or "ssseg" not in saved:
        raise UserError(f"{path} is not a checkpoint of ssseg; expected one that `ssseg fit` wrote")
    return saved
