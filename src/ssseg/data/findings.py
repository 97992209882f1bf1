"""A finding: one sentence with what was found, why it matters and how to mend it."""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

Severity = Literal["error", "warning", "note"]


class Finding(NamedTuple):
    """Something that a person should know."""

    severity: Severity
    """`error`: training does not start. `warning`: it starts, but..."""
    kind: str
    """A stable name, for programs."""
    text: str
    files: Sequence[str] = ()
    """The files concerned."""


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
