"""Options as they are typed, and the parser of the verbs that are not Lightning's."""

import json
import os
from argparse import ArgumentParser
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ssseg.errors import UserError
from ssseg.paths import at_home

SHORT = {"-c": "--config", "-h": "--help"}
"""Options that have a short name."""


class VerbParser(ArgumentParser):
    """An argparse parser whose complaints are sentences like all others; no guessed short names."""

    def __init__(self, **options: Any) -> None:
        super().__init__(allow_abbrev=False, **options)

    def error(self, message: str) -> Any:
        """Say it as every other mistake is said."""
        raise UserError(f"{self.prog}: {message}; see {self.prog} --help")


def groups(args: Sequence[str]) -> list[list[str]]:
    """Flags, each with the words that follow it, as they were typed."""
    out: list[list[str]] = []
    for arg in args:
        if arg.startswith("--") or arg[:2] in SHORT or not out:
            out.append([])
        out[-1].append(arg)
    return out


def pairs(args: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """Flags with the values that follow them; `--flag=value` is taken apart, short names are long.

    Words before the first flag come with an empty one.
    """
    for first, *values in groups(args):
        if first.startswith("--"):
            flag, equals, value = first.partition("=")
            yield flag, [value, *values] if equals else values
        elif first[:2] in SHORT:  # its value may be attached: -cFILE
            value = first[2:].removeprefix("=")
            yield SHORT[first[:2]], [value, *values] if value else values
        else:
            yield "", [first, *values]


def without(args: Sequence[str], gone: str) -> list[str]:
    """The same options but one; `--flag=value` is taken apart."""
    return [part for flag, values in pairs(args) if flag != gone for part in (flag, *values)]


def with_home(args: Sequence[str]) -> list[str]:
    """The same words with `~` at the beginning of a value as the home folder, as `at_home` says."""
    out = []
    for arg in args:
        flag, equals, value = arg.partition("=")
        long = bool(equals) and flag.startswith("--")
        out.append(f"{flag}={at_home(value)}" if long else at_home(arg))
    return out


def typed(options: Mapping[str, Any], group: str = "") -> list[str]:
    """Options as they are typed.

    Args:
        options: Values by name, without dashes.
        group: What comes before each name, e.g. `data`.

    Raises:
        UserError: For a value that is an object, which no text stands for.
    """
    named = {f"{group}.{name}" if group else name: value for name, value in options.items()}
    return [f"--{name}={typed_text(value, name)}" for name, value in named.items()]


def typed_text(value: Any, option: str) -> str:
    """A Python value as it is typed: a path or a class by its name, lists as JSON.

    Args:
        value: Anything.
        option: That it is of, for the error.

    Raises:
        UserError: For an object, which no text stands for.
    """
    simple = _simple(value, option)
    return simple if isinstance(simple, str) else json.dumps(simple)


def _simple(value: Any, option: str) -> Any:
    """What JSON can write."""
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, type):
        return f"{value.__module__}.{value.__qualname__}"
    if isinstance(value, Mapping):
        return {str(key): _simple(each, option) for key, each in value.items()}
    if isinstance(value, list | tuple | set | range):
        return [_simple(each, option) for each in value]
    if hasattr(value, "tolist"):  # of NumPy or torch
        return _simple(value.tolist(), option)
    kind = type(value)
    raise UserError(
        f"option {option} holds an object of class {kind.__name__}, but a run is kept as text; "
        f"expected text, numbers, lists, a path or a class: give the name {kind.__module__}."
        f"{kind.__qualname__}, or {{'class_path': NAME, 'init_args': {{...}}}} with its options"
    )
