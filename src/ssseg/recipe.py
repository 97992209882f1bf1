"""Objects as plain data and back: what checkpoints and configurations hold."""

from importlib import import_module
from typing import Any

from ssseg.errors import UserError


def recipe_of(thing: Any) -> dict[str, Any]:
    """`{"class_path": ..., "init_args": ...}` of an object that keeps its `hparams`."""
    cls = type(thing)
    return {"class_path": f"{cls.__module__}.{cls.__qualname__}", "init_args": plain(thing.hparams)}


def build(recipe: dict[str, Any]) -> Any:
    """The object that a recipe describes, freshly made."""
    return import_class(recipe["class_path"], "class")(**recipe["init_args"])


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


def plain(value: Any) -> Any:
    """The same with NamedTuples as dictionaries and tuples as lists."""
    if hasattr(value, "_asdict"):
        return {key: plain(item) for key, item in value._asdict().items()}
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value
