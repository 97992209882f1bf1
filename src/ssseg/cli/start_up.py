"""What a command does before its work: fast imports, and a number of threads."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ssseg.runs.cpus import (
    PERSON,
    Threads,
    allowed_cpus,
    choose_threads,
    free_cpus,
    read_load,
    wait_passively,
)
from ssseg.runs.imports import quick_imports

_why: str | None = None  # the reason for the number of threads; None if it was not chosen here


@contextmanager
def start_up() -> Iterator[None]:
    """A context for the import statements of a command; sets the threads of torch at its end.

    The load of the machine is measured while modules are imported. In a program that has imported
    torch before, nothing is changed.
    """
    if "torch" in sys.modules:
        yield
        return
    wait_passively()
    before = read_load()
    with quick_imports():
        yield
    if "torch" in sys.modules:
        free = free_cpus(before, read_load())
        use_threads(choose_threads(allowed_cpus(), free, os.environ))


def use_threads(chosen: Threads | None) -> None:
    """Let torch compute with this number of threads; None: with those that it has."""
    global _why
    if chosen is not None:
        import torch

        torch.set_num_threads(chosen.number)
    _why = None if chosen is None else chosen.why


def keep_threads(checkpoint: dict[str, Any]) -> None:
    """Compute with as many threads as a run had before, so that it ends with the same numbers.

    Args:
        checkpoint: That the run goes on from.
    """
    number = checkpoint["callbacks"].get("RunFolder", {}).get("threads")
    if number is not None and _why is not None:
        use_threads(Threads(number, "as before this run was interrupted"))


def threads_line() -> str:
    """What is printed of the threads at the start of a run."""
    import torch

    number = torch.get_num_threads()
    if _why is not None:
        return f"{number} {_why}"
    named = [name for name in PERSON if name in os.environ]
    return f"{number}, from {named[0]}" if named else str(number)
