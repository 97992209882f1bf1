"""Findings: sentences with what was found, why it matters and how to fix it."""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

Severity = Literal["error", "warning", "note"]


class Finding(NamedTuple):
    """A message about a data set."""

    severity: Severity
    """`error`: training does not start. `warning`: training starts, but results may be wrong."""
    kind: str
    """A short name of the problem, for programs."""
    text: str
    """The message, one sentence."""
    files: Sequence[str] = ()
    """The files concerned."""


def fill(template: str, files: Sequence[str], **more: Any) -> str:
    """Fill a template such as `{n} mask{s} {are} empty ({files})` for one file or several."""
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
    """The first `most` names as text, and the number of the others."""
    names = [str(file) for file in files]
    if len(names) <= most:
        return listed(names)
    return f"{', '.join(names[:most])} and {len(names) - most:,} more"


def listed(names: Sequence[str]) -> str:
    """Names as text: `a, b and c`."""
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else "".join(names)
