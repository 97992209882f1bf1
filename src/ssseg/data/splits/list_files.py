"""List files of labeled images: those of `ssseg split`, and those of published code."""

import json
import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from ssseg.data.datasets.base import Record
from ssseg.data.splits.counts import count_of, number_of
from ssseg.data.splits.pickled_orders import read_permutation
from ssseg.errors import UserError, one_of
from ssseg.runs.paths import as_path, composed

PICKLES = (".pkl", ".pickle")
HEADER = "# ssseg split"
"""First line of files that `ssseg split` writes; a line `# hash ...` follows."""


class Listed(NamedTuple):
    """The content of a list file."""

    name: str
    """Name of the list, for run folders and tables."""
    ids: set[str]
    """Ids of the labeled images."""
    notices: tuple[str, ...] = ()
    """Messages for the user."""
    hash: str | None = None
    """Content hash of the labeled images when `ssseg split` wrote the file."""


class ListEntry(NamedTuple):
    """One line, and its position for messages."""

    place: str
    text: str


def read_list(wanted: str, records: list[Record], endings: Sequence[str] = ()) -> Listed:
    """Read a list file.

    Args:
        wanted: `FILE`, `FILE.json#NAME`, `FILE.pkl#1/8` or `FILE.pkl#100`. Each line of a text file
            has an id, the path of an image, or the paths of an image and its mask, separated by a
            space or tab; `#` begins a comment. An image may be named twice; this gives a notice.
        records: The training images.
        endings: Suffixes after an id in file names (`Source.endings`).

    Raises:
        UserError: For a file that cannot be read, and for a name that is no training image.
    """
    path, part = _file_and_part(wanted)
    if path.suffix.lower() in PICKLES and path.is_file():
        return Listed(f"{path.stem}#{part}", _first(path, part, records))
    try:
        # -sig: some editors write a byte order mark at the start
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        raise UserError(
            f"option data.labeled is {wanted}, which is neither a number nor a readable list file "
            f"({error}); expected a count, a fraction such as 1/8, or a file with one id per line"
        ) from error
    if path.suffix.lower() == ".json":
        name, entries = _json_entries(path, part, text)
        return _listed(name, path, entries, records, endings)
    if part is not None:
        raise UserError(
            f"option data.labeled is {wanted}, but {path} contains a single list; remove #{part}, "
            "which is only for .json and .pkl files"
        )
    entries = [
        ListEntry(f"line {number} of {path}", line)
        for number, line in enumerate(text.splitlines(), 1)
        if line.strip()
    ]
    found = _listed(path.stem, path, entries, records, endings)
    if text.startswith(HEADER) and (head := re.search("^# hash ([0-9a-f]+)", text, re.MULTILINE)):
        found = found._replace(hash=head[1])
    return found


def _file_and_part(wanted: str) -> tuple[Path, str | None]:
    path = as_path(wanted)
    if "#" not in wanted or path.exists():  # file names may contain a #
        return path, None
    file, _, part = wanted.partition("#")
    return as_path(file), part


def _listed(
    name: str, place: Path, entries: list[ListEntry], records: list[Record], endings: Sequence[str]
) -> Listed:
    """The record ids of the entries."""
    known = {composed(record.id): record.id for record in records}
    ids, unknown, twice = set[str](), list[ListEntry](), list[ListEntry]()
    for entry in entries:
        meanings = _meanings(composed(entry.text), endings)
        found = next((known[meaning] for meaning in meanings if meaning in known), None)
        if found is None:
            if not entry.text.lstrip().startswith("#"):
                unknown.append(entry._replace(text=meanings[-1]))
        elif found in ids:
            twice.append(entry._replace(text=found))
        else:
            ids.add(found)
    if unknown:
        more = f" (nor for {len(unknown) - 1} more of its lines)" if len(unknown) > 1 else ""
        raise UserError(
            f"{unknown[0].place} names {unknown[0].text!r}, but there is no such training "
            f"image{more}; correct the list, or use the data set that it was made for"
        )
    if not ids:
        raise UserError(f"{place} names no image; expected one id per line")
    notices = tuple[str, ...]()
    if twice:
        number = "1 image" if len(twice) == 1 else f"{len(twice)} images"
        notices = (
            f"{name} names {number} twice ({twice[0].text!r} again in {twice[0].place}); "
            "each is labeled once",
        )
    return Listed(name, ids, notices)


def _meanings(line: str, endings: Sequence[str]) -> list[str]:
    """The possible ids of a line, in the order in which they are tried.

    A line has an id, or the path of an image, or the paths of an image and its mask, separated by a
    tab or a space. Names may contain spaces and dots.
    """
    names = [line]
    for part in (line.strip(), line.split("\t")[0].strip(), (line.split() or [""])[0]):
        path = PurePosixPath(part.replace("\\", "/"))
        names += [part, str(path), path.name, str(path).removesuffix(path.suffix), path.stem]
        for ending in endings:
            names += [
                name.removesuffix(ending)
                for name in (path.name, str(path).removesuffix(path.suffix), path.stem)
                if name.endswith(ending)
            ]
    return names


def _json_entries(path: Path, part: str | None, text: str) -> tuple[str, list[ListEntry]]:
    """The name and the entries of a list in a JSON file."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is not JSON ({error}); expected a list of ids") from error
    if isinstance(content, list) and part is None:
        name, place, chosen = path.stem, str(path), content
    elif not isinstance(content, dict):
        raise UserError(f"{path} holds {_kind(content)}, in which there is no list {part!r}")
    else:
        lists = dict(_lists_in(content))
        # the collections of published lists in this project have the lists under `labeled`
        found = next((name for name in (part, f"labeled/{part}") if name in lists), None)
        if found is None:
            if part is None:
                some = ", ".join(list(lists)[:3])
                raise UserError(
                    f"{path} contains several lists; give one as {path}#NAME (it has {some})"
                )
            raise one_of(f"list of {path}", part, [n.removeprefix("labeled/") for n in lists])
        name, place, chosen = f"{path.stem}#{part}", f"{path}#{part}", lists[found]
    entries = []
    for number, entry in enumerate(chosen, 1):
        if not isinstance(entry, str) or not entry.strip():
            raise UserError(
                f"entry {number} of {place} is {_kind(entry)}; expected the id of an image"
            )
        entries.append(ListEntry(f"entry {number} of {place}", entry))
    return name, entries


def _lists_in(content: dict[str, Any], under: str = "") -> Iterator[tuple[str, list[Any]]]:
    """Every list in nested objects, with its path of keys."""
    for key, value in content.items():
        if isinstance(value, dict):
            yield from _lists_in(value, f"{under}{key}/")
        elif isinstance(value, list):
            yield under + key, value


def _kind(value: object) -> str:
    """The kind of a JSON value, for messages."""
    kinds = {list: "a list", dict: "an object", str: "a text", type(None): "null"}
    return kinds.get(type(value), repr(value))


def _first(path: Path, part: str | None, records: list[Record]) -> set[str]:
    """The ids of the first images in a pickled order; `part` is their count or fraction."""
    if part is None or number_of(part) is None:
        raise UserError(
            f"{path} is an order of all training images; give the number of labeled ones: "
            f"{path}#1/8 or {path}#100"
        )
    order = read_permutation(path, len(records))
    # floor, because the code that wrote these files uses int(ratio * images)
    count = count_of(part, len(records), f"{path}#{part}", math.floor)
    return {records[index].id for index in order[:count]}
