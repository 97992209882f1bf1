"""What `ssseg methods NAME` prints: the docstring of a method and its options.

The methods of ssseg are read from their source files, because importing one imports torch, timm and
much else, which takes seconds.
"""

import ast
import inspect
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import MISSING
from pathlib import Path
from typing import Any, NamedTuple

from ssseg import methods
from ssseg.methods import METHODS, method_class

PACKAGE = "ssseg.methods"
BASE = f"{PACKAGE}.base"


class About(NamedTuple):
    """What is known about a method."""

    doc: str
    inherited: str
    """Docstring of the method that it is derived from; empty for one derived from `Method`."""
    options: Mapping[str, Any]
    """The defaults by name; `MISSING` for required options."""


class UnclearError(Exception):
    """A source file from which a method cannot be read without running it."""


def explain(name: str) -> str:
    """The docstring of a method and its options with their defaults.

    Args:
        name: A name in `METHODS`, or the dotted path of another class.

    Raises:
        UserError: For an unknown name.
    """
    about = None
    if name in METHODS:
        try:
            about = read(name)
        except (UnclearError, OSError):  # a program that is packed into one file has no sources
            about = None
    doc, inherited, options = about or imported(name)
    rows = [
        (f"  --method.{option}", "required" if value is MISSING else repr(value))
        for option, value in sorted(options.items())
    ]
    shown = ["Defaults:", table(rows)] if rows else []
    return "\n".join([doc, "", inherited, "", *shown])


def table(rows: Iterable[Sequence[str]]) -> str:
    """Rows as lines of text; each column is as wide as its widest text."""
    lines = list(rows)
    widths = [max(map(len, column)) + 2 for column in zip(*lines, strict=True)]
    padded = [[text.ljust(w) for text, w in zip(line, widths, strict=True)] for line in lines]
    return "\n".join("".join(line).rstrip() for line in padded)


def imported(name: str) -> About:
    """What the class of a method says about itself; this imports torch.

    Raises:
        UserError: For an unknown name.
    """
    from ssseg.methods.base import defaults

    method = method_class(name)
    template = method.__mro__[1]
    inherited = "" if template.__module__ == BASE else inspect.getdoc(template)
    return About(inspect.getdoc(method) or "", inherited or "", defaults(method))


def read(name: str) -> About:
    """What the source file of a method in `METHODS` says.

    Raises:
        UnclearError: If the class is not written as all methods of ssseg are: a dataclass with a
            docstring, one base, and defaults that are literals or constants of its module.
    """
    family = _family(f"{PACKAGE}.{name}", METHODS[name].class_name)
    options: dict[str, Any] = {}
    for tree, cls in reversed(family):
        options |= _fields(cls, tree)
    docs = [ast.get_docstring(cls) for _, cls in family]
    if None in docs:  # dataclass writes one
        raise UnclearError
    doc, inherited, *_ = [*docs, ""]
    return About(doc or "", inherited or "", options)


def _family(module: str, class_name: str) -> list[tuple[ast.Module, ast.ClassDef]]:
    """A class and those that it is derived from, without `Method`, each with its module."""
    if module == BASE:
        return []
    tree = _source(module)
    found = [n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == class_name]
    if len(found) != 1 or len(found[0].bases) != 1 or not isinstance(found[0].bases[0], ast.Name):
        raise UnclearError
    base = found[0].bases[0].id
    origins = [
        node.module
        for node in tree.body
        if isinstance(node, ast.ImportFrom) and base in [alias.name for alias in node.names]
    ]
    if len(origins) > 1:
        raise UnclearError
    return [(tree, found[0]), *_family(origins[0] or "" if origins else module, base)]


def _source(module: str) -> ast.Module:
    """The source of a module in the package of the methods."""
    inside = module.removeprefix(f"{PACKAGE}.")
    if inside == module:
        raise UnclearError
    place = Path(methods.__file__).parent.joinpath(*inside.split("."))
    file = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
    return ast.parse(file.read_text(encoding="utf-8"))


def _fields(cls: ast.ClassDef, tree: ast.Module) -> dict[str, Any]:
    """The fields of a dataclass in a module, with their defaults."""
    decorators = [d.func if isinstance(d, ast.Call) else d for d in cls.decorator_list]
    if [d.id for d in decorators if isinstance(d, ast.Name)] != ["dataclass"]:
        raise UnclearError
    constants = dict(_annotated(tree.body))
    found: dict[str, Any] = {}
    for name, node in _annotated(cls.body):
        kind = ast.unparse(node.annotation)
        if kind.startswith(("InitVar", "KW_ONLY")):
            raise UnclearError
        if kind.startswith("ClassVar"):
            continue
        value = node.value
        if isinstance(value, ast.Name) and value.id in constants:
            value = constants[value.id].value
        try:
            found[name] = MISSING if value is None else ast.literal_eval(value)
        except ValueError as error:
            raise UnclearError from error
    return found


def _annotated(body: Sequence[ast.stmt]) -> Iterator[tuple[str, ast.AnnAssign]]:
    """The assignments of names with a type, such as `threshold: float = 0.9`."""
    for node in body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id, node
