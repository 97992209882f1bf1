"""Which training images are labeled: by count, fraction or list, seeded, with a content hash."""

import hashlib
import math
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ssseg.data.datasets.base import Record, Source
from ssseg.errors import UserError
from ssseg.randomness import seed_of


class LabeledSplit(NamedTuple):
    """The training images, in two parts."""

    name: str
    """How the split was made, e.g. `1/8 seed 0`."""
    labeled: list[Record]
    rest: list[Record]
    """Training images whose masks are not looked at."""


def split_labeled(records: list[Record], wanted: str | None, seed: int) -> LabeledSplit:
    """Choose the labeled images among the training records.

    Args:
        records: Training images with masks.
        wanted: A count (`30`), a fraction (`1/8` or `0.125`), a file with one id per line, or None
            for all. Counts of one seed are nested: the first 30 are among the first 60.
        seed: Of the choice.

    Raises:
        UserError: For a number that is out of range, or a list that names unknown images.
    """
    if wanted is None:
        return LabeledSplit("all", records, [])
    if (number := _number(wanted)) is None:
        return _from_list(records, Path(wanted))
    count = _count(wanted, number, len(records))
    order = np.random.default_rng(seed_of(seed, "split")).permutation(len(records))
    chosen = set(order[:count].tolist())
    return LabeledSplit(
        f"{wanted} seed {seed}",
        [r for i, r in enumerate(records) if i in chosen],
        [r for i, r in enumerate(records) if i not in chosen],
    )


def _number(wanted: str) -> Fraction | None:
    """The number that a text stands for; None for what may be the name of a file."""
    try:
        return Fraction(wanted)
    except ZeroDivisionError:
        return Fraction(0)  # 1/0 is a slip in a number
    except ValueError:
        return None


def _count(wanted: str, number: Fraction, total: int) -> int:
    """The number of images that a count or fraction means.

    Fractions round up: that gives the published 372 of 2,975 (1/8) and 662 of 10,582 (1/16).
    """
    if "/" in wanted or "." in wanted or number.denominator > 1:
        number *= total  # exact: in floats 0.29 of 100 would be 28
    count = math.ceil(number)
    if not 1 <= count <= total:
        raise UserError(
            f"option data.labeled is {wanted}, which is {count} of {total} training images with "
            f"masks; expected a count from 1 to {total}, a fraction such as 1/8, or a list file"
        )
    return count


def _from_list(records: list[Record], path: Path) -> LabeledSplit:
    try:
        # -sig: editors on Windows begin a file with a byte order mark
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, ValueError) as error:
        raise UserError(
            f"option data.labeled is {path}, which is neither a number nor a readable list file "
            f"({error}); expected a count, a fraction such as 1/8, or a file with one id per line"
        ) from error
    known = {record.id for record in records}
    ids = set()
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        names = _meanings(line)
        name = next((name for name in names if name in known), None)
        if name is None:
            raise UserError(
                f"line {number} of {path} names {names[-1]!r}, but there is no such training image"
            )
        ids.add(name)
    if not ids:
        raise UserError(f"{path} names no image; expected one id per line")
    return LabeledSplit(
        path.stem,
        [r for r in records if r.id in ids],
        [r for r in records if r.id not in ids],
    )


def _meanings(line: str) -> list[str]:
    """The ids that a line may stand for, in the order in which they are tried.

    A line holds an id, or the path of an image, or the paths of an image and its mask with a tab or
    a space between them; names may hold spaces and dots themselves.
    """
    parts = [line, line.split("\t")[0], line.split()[0]]
    paths = [Path(part.strip()) for part in parts]
    return [name for path in paths for name in (str(path), path.name, path.stem)]


def content_hash(source: Source, records: list[Record]) -> str:
    """A short hash of the ids and mask contents of a labeled set: equal hash, equal split."""
    digest = hashlib.sha256()
    for record in records:
        mask = source.read_mask(record)
        digest.update(f"{record.id} {mask.shape}".encode())
        digest.update(np.ascontiguousarray(mask).tobytes())
    return digest.hexdigest()[:12]
