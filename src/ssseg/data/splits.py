"""Which training images are labeled: by count, fraction or list, seeded, with a content hash."""

import hashlib
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
    if not _is_number(wanted):
        return _from_list(records, Path(wanted))
    count = _count(wanted, len(records))
    order = np.random.default_rng(seed_of(seed, "split")).permutation(len(records))
    chosen = set(order[:count].tolist())
    return LabeledSplit(
        f"{wanted} seed {seed}",
        [r for i, r in enumerate(records) if i in chosen],
        [r for i, r in enumerate(records) if i not in chosen],
    )


def _is_number(wanted: str) -> bool:
    try:
        [float(part) for part in wanted.split("/", 1)]
    except ValueError:
        return False
    return True


def _count(wanted: str, total: int) -> int:
    """The number of images that a count or fraction means; fractions round down, as published."""
    if "/" in wanted:
        above, below = (float(part) for part in wanted.split("/", 1))
        count = int(total * above / below) if below else -1
    elif "." in wanted:
        count = int(total * float(wanted)) if 0 < float(wanted) <= 1 else -1
    else:
        count = int(wanted)
    if not 1 <= count <= total:
        raise UserError(
            f"option data.labeled is {wanted}, which is {count} of {total} training images with "
            f"masks; expected a count from 1 to {total}, a fraction such as 1/8, or a list file"
        )
    return count


def _from_list(records: list[Record], path: Path) -> LabeledSplit:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"option data.labeled is {path}, which is neither a number nor a readable list file "
            f"({error}); expected a count, a fraction such as 1/8, or a file with one id per line"
        ) from error
    # a line may name image and mask, with folders and endings; the id is the image's stem
    ids = [Path(line.split()[0]).stem for line in lines if line.strip()]
    by_id = {record.id: record for record in records}
    for number, name in enumerate(ids, 1):
        if name not in by_id:
            raise UserError(
                f"line {number} of {path} names {name!r}, but there is no such training image"
            )
    if not ids:
        raise UserError(f"{path} names no image; expected one id per line")
    chosen = set(ids)
    return LabeledSplit(
        path.stem,
        [r for r in records if r.id in chosen],
        [r for r in records if r.id not in chosen],
    )


def content_hash(source: Source, records: list[Record]) -> str:
    """A short hash of the ids and mask contents of a labeled set: equal hash, equal split."""
    digest = hashlib.sha256()
    for record in records:
        digest.update(record.id.encode())
        digest.update(np.ascontiguousarray(source.read_mask(record)).tobytes())
    return digest.hexdigest()[:12]
