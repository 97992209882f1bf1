"""Objects as plain data and back: what checkpoints and configurations hold."""

import sys
from collections.abc import Mapping
from importlib import import_module
from typing import Any, TypeVar

from ssseg.errors import UserError

Made = TypeVar("Made")


def to_config(thing: Any) -> dict[str, Any]:
    """`{"class_path": ..., "init_args": ...}` of an object that keeps its `hparams`."""
    cls = type(thing)
    return {
        "class_path": f"{cls.__module__}.{cls.__qualname__}",
        "init_args": to_plain(thing.hparams),
    }


def from_config(recipe: Mapping[str, Any], base: type[Made]) -> Made:
    """The object that a recipe from a file describes, freshly made.

    Files come from anywhere: nothing is imported or called that they name, but for classes of ours
    and of modules that the caller has imported already.

    Args:
        recipe: `{"class_path": ..., "init_args": ...}`.
        base: What the class must be derived from.

    Raises:
        UserError: For any other class.
    """
    path = str(recipe["class_path"])
    module = path.rpartition(".")[0]
    if module.partition(".")[0] != "ssseg" and module not in sys.modules:
        raise UserError(
            f"the file wants to be read with {path!r}, which is not of ssseg; import {module!r} "
            "first if you trust it"
        )
    found = import_class(path, "class")
    if not issubclass(found, base):
        raise UserError(f"the file wants to be read with {path!r}, which is no {base.__name__}")
    return found(**(recipe.get("init_args") or {}))


def import_class(path: str, what: str) -> type[Any]:
    """The class at a dotted path.

    Args:
        path: Module and name.
        what: What is looked for, for the error.

    Raises:
        UserError: Where there is none.
    """
    module, _, name = path.rpartition(".")
    try:
        found = getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise UserError(
            f"no {what} at {path!r} ({error}); expected the dotted path of a class"
        ) from error
    if not isinstance(found, type):
        raise UserError(f"{path!r} is no class, but a {type(found).__name__}")
    return found


def to_plain(value: Any) -> Any:
    """The same with NamedTuples as dictionaries and tuples as lists."""
    if hasattr(value, "_asdict"):
        return {key: to_plain(item) for key, item in value._asdict().items()}
    if isinstance(value, dict):
        return {key: to_plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_plain(item) for item in value]
    return value


def flatten(values: Any, name: str = "") -> dict[str, Any]:
    """Nested dictionaries as one, with dots in its keys; lists stay as they are."""
    if not isinstance(values, Mapping):
        return {name: values}
    out: dict[str, Any] = {}
    for key, value in values.items():
        out.update(flatten(value, f"{name}.{key}" if name else str(key)))
    return out
