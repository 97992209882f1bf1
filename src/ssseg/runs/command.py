"""Options as they are typed, and the parser of the verbs that are not Lightning's."""

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ssseg.errors import UserError
from ssseg.runs.paths import at_home
from ssseg.runs.run import COMMAND, SUMMARY

SHORT = {"-c": "--config", "-h": "--help"}
"""Options that have a short name."""


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
    simple = plain_value(value, option)
    return simple if isinstance(simple, str) else json.dumps(simple)


def plain_value(value: Any, option: str) -> Any:
    """A Python value as a configuration holds it: a path or a class by its name, arrays as lists.

    Args:
        value: Anything.
        option: That it is of, for the error.

    Raises:
        UserError: For an object, which no text stands for.
    """
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, type):
        return f"{value.__module__}.{value.__qualname__}"
    if isinstance(value, Mapping):
        return {str(key): plain_value(each, option) for key, each in value.items()}
    if isinstance(value, list | tuple | set | range):
        return [plain_value(each, option) for each in value]
    if hasattr(value, "tolist"):  # of NumPy or torch
        return plain_value(value.tolist(), option)
    kind = type(value)
    raise UserError(
        f"option {option} holds an object of class {kind.__name__}, but a run is kept as text; "
        f"expected text, numbers, lists, a path or a class: give the name {kind.__module__}."
        f"{kind.__qualname__}, or {{'class_path': NAME, 'init_args': {{...}}}} with its options"
    )


def typed_name(key: str) -> str:
    """An option's name as a person types it."""
    key = re.sub(r"^(fit|validate|test)\.", "", key).replace(".init_args", "")
    return key.removeprefix("model.").replace("data.source.", "data.")


def note_command(folder: Path, args: Sequence[str]) -> None:
    """Keep the options of a run in its folder."""
    (folder / COMMAND).write_text(json.dumps(list(args)) + "\n", encoding="utf-8")


def command_of(folder: Path) -> list[str] | None:
    """The options of the unfinished run in a folder; None where there is none.

    Raises:
        UserError: Where they cannot be read.
    """
    return None if (folder / SUMMARY).is_file() else options_of(folder)


def options_of(folder: Path) -> list[str] | None:
    """The options of the run in a folder, finished or not; None where there is none.

    Raises:
        UserError: Where they cannot be read.
    """
    path = folder / COMMAND
    if not path.is_file():
        return None
    try:
        args = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(
            f"{path} cannot be read ({error}); remove the folder and start anew"
        ) from error
    return [str(arg) for arg in args]


def refuse_another(folder: Path, mine: Sequence[str], theirs: Sequence[str]) -> None:
    """An unfinished run goes on with the options that it was started with, or not at all.

    Raises:
        UserError: Where they differ, with the first option that does.
    """
    if list(mine) == list(theirs):
        return
    longer = max(len(mine), len(theirs))
    pad = [*mine, *[""] * longer], [*theirs, *[""] * longer]
    place = next(i for i in range(longer) if pad[0][i] != pad[1][i])
    raise UserError(
        f"option out: {folder} holds an unfinished run of other options ({pad[1][place]!r} there, "
        f"{pad[0][place]!r} here); give the same ones to go on with it (ssseg fit --resume "
        f"{folder}), or another folder"
    )
