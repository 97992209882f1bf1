"""Values of the Trainer's options: how they are read, and what is said against some of them.

An objection follows `option trainer.NAME is VALUE, ` in a message; None means that a value works.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from pytorch_lightning.accelerators import AcceleratorRegistry

Objection = Callable[[Any], str | None]
PRECISIONS = ("32-true", "16-mixed", "bf16-mixed", "64-true")
ALIASES = {"32": "32-true", "16": "16-mixed", "bf16": "bf16-mixed", "64": "64-true"}
STRATEGIES = ("auto", "ddp", "ddp_fork", "ddp_notebook")
PROFILERS = ("simple", "advanced", "pytorch")


def only(*values: Any, because: str) -> Objection:
    """Every value but these is refused."""

    def objection(value: Any) -> str | None:
        # True == 1, which is another value
        fine = any(value == allowed and type(value) is type(allowed) for allowed in values)
        return None if fine else because

    return objection


def at_least(least: float, unit: str = "") -> Objection:
    """Smaller numbers are refused."""

    def objection(value: Any) -> str | None:
        few = value is not None and value < least
        return f"expected at least {least}{unit}" if few else None

    return objection


def one_of(known: Sequence[str]) -> Objection:
    """Names are of this list; objects are taken as they are."""

    def objection(value: Any) -> str | None:
        unknown = isinstance(value, str) and value.lower() not in known
        return f"expected one of {', '.join(known)}" if unknown else None

    return objection


def not_positive(value: Any) -> str | None:
    """A number of steps must be given."""
    return None if value >= 1 else "expected a positive number"


def no_devices(value: Any) -> str | None:
    """There is at least one device."""
    return "expected at least 1" if value in (0, "0", [], "") else None


def missing_accelerator(value: Any) -> str | None:
    """Devices of this kind must be there."""
    if not isinstance(value, str) or value == "auto":
        return None
    kinds = {
        name: AcceleratorRegistry[name]["accelerator"].is_available()
        for name in AcceleratorRegistry.available_accelerators()
    }
    kinds |= {"auto": True, "gpu": kinds["cuda"] or kinds["mps"]}
    if kinds.get(value):
        return None
    there = ", ".join(sorted(name for name, found in kinds.items() if found))
    why = "but PyTorch finds none on this machine; " if value in kinds else ""
    return f"{why}expected one of {there}"


def not_ddp(value: Any) -> str | None:
    """Several devices train by DDP only."""
    name = str(getattr(value, "class_path", value))
    if re.sub(r"_find_unused_parameters_(true|false)$", "", name) in STRATEGIES:
        return None
    if name.endswith("DDPStrategy"):
        return None
    return (
        "but devices train by DDP here, each with the whole network and its teacher; expected "
        f"one of {', '.join(STRATEGIES)}"
    )


def precision_of(value: Any) -> str:
    """The one name of a precision that has several."""
    return "32-true" if value is None else ALIASES.get(str(value), str(value))


def low_precision(value: Any) -> str | None:
    """Weights are kept in 32 or 64 bits."""
    if precision_of(value) in PRECISIONS:
        return None
    return (
        "but weights are kept in 32 or 64 bits here, or the teacher's average would be lost in "
        f"rounding; expected one of {', '.join(PRECISIONS)}"
    )


def seconds_of(value: Any) -> float | None:
    """A length of time as the Trainer takes it, in seconds; None for what is none.

    Args:
        value: `DD:HH:MM:SS`, a timedelta, or a dictionary of its arguments.
    """
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, Mapping):
        try:
            return timedelta(**value).total_seconds()
        except TypeError:
            return None
    if not isinstance(value, str) or not re.fullmatch(r"\d+:\d+:\d+:\d+", value):
        return None
    days, hours, minutes, seconds = map(int, value.split(":"))
    return timedelta(days, seconds, hours=hours, minutes=minutes).total_seconds()


def no_time(value: Any) -> str | None:
    """A time is longer than 0."""
    if value is None or (seconds_of(value) or 0) > 0:
        return None
    return "expected a time as DD:HH:MM:SS, e.g. 00:01:30:00 for one hour and a half"


def no_interval(value: Any) -> str | None:
    """An interval is a number of batches, or a time."""
    if value is None or isinstance(value, int):
        return at_least(1, " batch")(value)
    if isinstance(value, float):
        return (
            "a share of an epoch, but training has no epochs here; expected a whole number of "
            "batches, or a time as DD:HH:MM:SS"
        )
    return no_time(value)


def no_logger(value: Any) -> str | None:
    """A logger is named by its class."""
    if isinstance(value, bool):
        return (
            "but every run keeps a log in its metrics.csv; expected a logger's class, or give "
            "--logger wandb or --logger tensorboard"
        )
    return None


def named_plugins(value: Any) -> str | None:
    """Plugins are given by their classes."""
    if any(isinstance(one, str) for one in as_list(value)):
        return "expected the class of a Precision, CheckpointIO or ClusterEnvironment plugin"
    return None


def as_list(value: Any) -> list[Any]:
    """What may be given as one, as a list, or not at all."""
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]
