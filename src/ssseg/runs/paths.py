"""Paths as people write them."""

import os
import re
import unicodedata
from argparse import Namespace
from pathlib import Path
from typing import Any


def composed(text: str) -> str:
    """A text whose accents are part of their letters (Unicode's NFC)."""
    return unicodedata.normalize("NFC", text)


def at_home(text: str) -> str:
    """A text with the home folder in place of a `~` or `~user` at its beginning.

    Shells do that for `--out ~/run` and not for `--out=~/run`; YAML files and Python never do. A
    name that merely begins with `~`, such as `~backup.png`, stays.
    """
    return os.path.expanduser(text)  # noqa: PTH111 (Path.expanduser raises for names like ~backup)


def slug(text: str) -> str:
    """A label as a part of a file name."""
    return re.sub(r"[^A-Za-z0-9_.]+", "-", text).strip("-")


def as_path(path: str | Path) -> Path:
    """A path that was given to a function, with `~` at its beginning as the home folder."""
    return Path(at_home(str(path)))


def all_at_home(values: Any) -> Any:
    """The same values, nested as they are, with `at_home` of every text."""
    if isinstance(values, str):
        return at_home(values)
    if isinstance(values, dict | Namespace):
        holder = values if isinstance(values, dict) else vars(values)
        holder.update({key: all_at_home(value) for key, value in holder.items()})
    if isinstance(values, list):
        return [all_at_home(value) for value in values]
    return values
