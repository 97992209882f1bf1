"""Images that are in two sets, by path, link or content, which makes scores invalid."""

import hashlib
import os
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from ssseg.data.datasets.base import Record
from ssseg.errors import UserError

Item = TypeVar("Item")
SAMPLE = 4096
"""Bytes at the start, middle and end of a file that are compared before whole files."""


class Overlap(NamedTuple):
    """An image of one set that is also in another."""

    sets: tuple[str, str]
    """Names of the two sets, in their order."""
    images: tuple[Path, Path]
    same_file: bool
    """True for one file, False for two files with equal content."""

    def __str__(self) -> str:
        first, second = self.images
        if first == second:
            return str(first)
        return f"{first} and {second}, {'one file' if self.same_file else 'equal in content'}"


class _File(NamedTuple):
    """An image file in a set."""

    number: tuple[int, int] | str
    """Identifies the file; equal for all paths and links of one file."""
    size: int
    set: str
    path: Path


def overlaps(sets: Mapping[str, list[Record]]) -> list[Overlap]:
    """Images that are in two sets.

    Only files of equal size in different sets are opened. Images in memory and files that cannot be
    read are skipped; the latter are reported where they are read.

    Args:
        sets: Records by name of the set.

    Returns:
        At most one overlap for each image and pair of sets, in the order of the sets.
    """
    files = [
        file
        for name, records in sets.items()
        for record in records
        if isinstance(record.image, Path) and (file := _stat(name, record.image)) is not None
    ]
    equal = []
    for same_size in _of_two_sets(_groups(files, lambda file: file.size)):
        if len({file.number for file in same_size}) == 1:
            equal.append(same_size)  # one file, no comparison needed
            continue
        for alike in _of_two_sets(_groups(same_size, _sample)):
            equal += _of_two_sets(_groups(alike, _content))
    found = [overlap for group in equal for overlap in _shared(group, list(sets))]
    order = {name: place for place, name in enumerate(sets)}
    return sorted(found, key=lambda one: ([order[name] for name in one.sets], one.images))


def remarks_on(found: list[Overlap], *, reused: bool, allowed: bool) -> list[str]:
    """Messages about overlaps between `labeled`, `unlabeled`, `val` and `test`.

    Args:
        found: The result of `overlaps`.
        reused: Whether labeled images are also used as unlabeled images.
        allowed: Whether labeled images may be in val and test.

    Raises:
        UserError: For a labeled image that is in val or test, unless it is allowed.
    """
    said = []
    for (first, second), shared in _groups(found, lambda one: one.sets).items():
        many = f"{len(shared)} {first} image{'s are' if len(shared) > 1 else ' is'} also in"
        example = f"{'e.g. ' if len(shared) > 1 else ''}{shared[0]}"
        if first == "labeled" and second in ("val", "test"):
            if not allowed:
                raise UserError(
                    f"{many} {second} ({example}): scores would praise what was learned by heart; "
                    f"take them out of one of the two, or give --data.allow_overlap true"
                )
            said.append(f"{many} {second} ({example}), so that scores flatter; this was allowed")
        elif first == "unlabeled" and second in ("val", "test"):
            said.append(
                f"{many} {second} ({example}): scores on images seen in training may flatter, "
                "even without their masks"
            )
        elif (first, second) == ("labeled", "unlabeled") and not reused:
            said.append(
                f"{many} unlabeled ({example}): both streams show them; take them out of "
                "the folders of unlabeled images"
            )
    return said


def _stat(name: str, path: Path) -> _File | None:
    try:
        found = path.stat()  # follows links
    except OSError:
        return None
    # some file systems have no inode numbers
    number = (found.st_dev, found.st_ino) if found.st_ino else os.path.realpath(path)
    return _File(number, found.st_size, name, path)


def _groups(items: Iterable[Item], key: Callable[[Item], Hashable]) -> dict[Any, list[Item]]:
    out = defaultdict[Any, list[Item]](list)
    for item in items:
        out[key(item)].append(item)
    return out


def _of_two_sets(groups: Mapping[Any, list[_File]]) -> list[list[_File]]:
    return [files for files in groups.values() if len({file.set for file in files}) > 1]


def _sample(file: _File) -> Hashable:
    """Some bytes of a file, which almost always differ between different files."""
    try:
        with file.path.open("rb") as opened:
            places = (0, file.size // 2, max(file.size - SAMPLE, 0))
            return b"".join(opened.read(SAMPLE) for place in places if opened.seek(place) == place)
    except OSError:
        return file.number


def _content(file: _File) -> Hashable:
    try:
        with file.path.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").digest()
    except OSError:
        return file.number


def _shared(equal: list[_File], sets: list[str]) -> Iterator[Overlap]:
    """The overlaps in a group of equal files."""
    members = {name: [file for file in equal if file.set == name] for name in sets}
    for first, second in combinations(sets, 2):
        for file in members[first] if members[second] else []:
            same = [other for other in members[second] if other.number == file.number]
            other = (same or members[second])[0]
            yield Overlap((first, second), (file.path, other.path), bool(same))
