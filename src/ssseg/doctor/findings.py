"""A finding: one sentence with what was found, why it matters and how to mend it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from ssseg.data.datasets.base import Record, Source

Severity = Literal["error", "warning", "note"]
Role = Literal["labeled", "unlabeled", "val", "test", "unmasked"]
ROLES: tuple[Role, ...] = ("labeled", "unlabeled", "val", "test", "unmasked")
"""`unmasked` are images of train, val or test that lack the mask they should have."""
MASKED: tuple[Role, ...] = ("labeled", "val", "test")
WRONG = ("mask_binary",)
"""Errors with which training would start, and be wrong."""


class Finding(NamedTuple):
    """Something that a person should know."""

    severity: Severity
    """`error`: training would stop or be wrong. `warning`: it will start, but..."""
    kind: str
    """A stable name, for programs."""
    text: str
    files: Sequence[str] = ()
    """The files concerned."""


def file_of(source: Source, place: Path | int | None, record: Record) -> str:
    """How a file is called in the report: by its path inside the data set."""
    if not isinstance(place, Path):
        return record.id
    root = getattr(source, "root", None)
    if isinstance(root, Path) and place.is_relative_to(root):
        return str(place.relative_to(root))
    return str(place)


def fill(template: str, files: Sequence[str], **more: Any) -> str:
    """A sentence about one file or many: `{n} mask{s} {are} empty ({files})`."""
    one = len(files) == 1
    words = {
        "n": f"{len(files):,}",
        "s": "" if one else "s",
        "are": "is" if one else "are",
        "have": "has" if one else "have",
        "hold": "holds" if one else "hold",
        "it": "it" if one else "them",
        "they": "it" if one else "they",
        "files": shown(files),
    }
    return template.format(**words, **more)


def shown(files: Sequence[Any], most: int = 3) -> str:
    """The first few of many, and how many more there are."""
    names = [str(file) for file in files]
    if len(names) <= most:
        return listed(names)
    return f"{', '.join(names[:most])} and {len(names) - most:,} more"


def listed(names: Sequence[str]) -> str:
    """`a, b and c`."""
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else "".join(names)
