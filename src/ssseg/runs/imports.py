"""Imports of large libraries, faster."""

import atexit
import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager

NOT_NEEDED = "wandb"
"""Imported by timm wherever it is installed, and used by none of the functions that we call.
`--logger wandb` imports it when the logger is made."""


@contextmanager
def quick_imports() -> Iterator[None]:
    """A context for the import statements of a command.

    Garbage collection is off, because the objects of a module live as long as the process: looking
    through all of them again and again takes a quarter of the time. They are then set apart, so
    that later collections do not look at them either.
    """
    if "torch" in sys.modules:  # a program that has more than modules by now
        yield
        return
    collects = gc.isenabled()
    gc.disable()
    sys.modules.setdefault(NOT_NEEDED, None)  # type: ignore[arg-type]  # None: it cannot be found
    try:
        yield
    finally:
        if sys.modules[NOT_NEEDED] is None:
            del sys.modules[NOT_NEEDED]
        gc.freeze()
        atexit.register(gc.unfreeze)  # else nanobind reports objects of triton as leaks
        if collects:
            gc.enable()
