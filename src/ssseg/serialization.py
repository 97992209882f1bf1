"""Conversion of objects to plain data and back, for checkpoints and configurations."""

import sys
from collections.abc import Mapping
from importlib import import_module
from typing import Any, TypeVar

from ssseg.errors import UserError

Made = TypeVar("Made")


def to_config(thing: Any) -> dict[str, Any]:
    """`{"class_path": ..., "init_args": ...}` of an object with the attribute `hparams`."""
    cls = type(thing)
    return {
        "class_path": f"{cls.__module__}.{cls.__qualname__}",
        "init_args": to_plain(thing.hparams),
    }


def from_config(recipe: Mapping[str, Any], base: type[Made]) -> Made:
    """Make the object that a recipe from a file describes.

    A file may be malicious. Therefore only classes of ssseg and of modules that the caller has
    already imported are used.

    Args:
        recipe: `{"class_path": ..., "init_args": ...}`.
        base: Required base class.

    Raises:
        UserError: For any other class.
    """
    path = str(recipe["class_path"])
    module = path.rpartition(".")[0]
    if module.partition(".")[0] != "ssseg" and module not in sys.modules:
        raise UserError(
            f"the file needs the class {path!r}, which is not part of ssseg; import {module!r} "
            "first if you trust it"
        )
    found = import_class(path, "class")
    if not issubclass(found, base):
        raise UserError(f"the file needs the class {path!r}; expected a {base.__name__}")
    options = recipe.get("init_args") or {}
    refuse_retired(found, options, "the file")
    return found(**options)


def refuse_retired(cls: type[Any], options: Mapping[str, Any], where: str) -> None:
    """Refuse options that a class had in earlier versions, and say what became of them.

    Args:
        cls: The class; its `retired` names these options, as `name` or `name=value`.
        options: By name.
        where: What holds the options, for the message.

    Raises:
        UserError: For the first one found.
    """
    for old, fate in getattr(cls, "retired", {}).items():
        name, _, value = old.partition("=")
        if name in options and value in ("", str(options[name])):
            raise UserError(
                f"{where} has option {old} of {cls.__name__}, {fate}; ssseg 0.1 reads it as it was"
            )


def import_class(path: str, what: str) -> type[Any]:
    """Import a class by its dotted path.

    Args:
        path: Module and name.
        what: Kind of class, for the error message.

    Raises:
        UserError: If there is no class at this path.
    """
    module, _, name = path.rpartition(".")
    try:
        found = getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise UserError(
            f"no {what} at {path!r} ({error}); expected the dotted path of a class"
        ) from error
    if not isinstance(found, type):
        raise UserError(f"{path!r} is a {type(found).__name__}; expected a class")
    return found


def to_plain(value: Any) -> Any:
    """Convert NamedTuples to dictionaries and tuples to lists, recursively."""
    if hasattr(value, "_asdict"):
        return {key: to_plain(item) for key, item in value._asdict().items()}
    if isinstance(value, dict):
        return {key: to_plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_plain(item) for item in value]
    return value


def flatten(values: Any, name: str = "") -> dict[str, Any]:
    """Flatten nested dictionaries to one with dotted keys; lists are not changed."""
    if not isinstance(values, Mapping):
        return {name: values}
    out: dict[str, Any] = {}
    for key, value in values.items():
        out.update(flatten(value, f"{name}.{key}" if name else str(key)))
    return out
