"""Which labeled images are held out for validation, where nobody said it."""

import hashlib
import math
from collections import defaultdict
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np

from ssseg.data.datasets.base import Array, Record
from ssseg.data.reading import in_threads, kept
from ssseg.data.splits.counts import number_of
from ssseg.errors import UserError
from ssseg.runs.verdict import FEW

SPREAD = 20
"""Points of mIoU by which scores of single photographs differ (their standard deviation)."""


def held_out_count(wanted: str, total: int, option: str) -> int:
    """How many images are held out.

    Args:
        wanted: A share (`0.2`, `1/5`) or a count (`6`); `0` for none.
        total: Labeled images there are.
        option: That was given, for messages.

    Returns:
        Of a share the nearest count, from 1 on, so that one is left to learn from.

    Raises:
        UserError: For what is no such number, or would leave none.
    """
    number = number_of(wanted)
    if number is None or number < 0 or (number != number // 1 and number > 1):
        raise UserError(
            f"option {option} is {wanted}; expected the share of the labeled images to hold out, "
            "such as 0.2, or a count, such as 6"
        )
    share = number < 1 and number > 0
    count = math.floor(number * total + Fraction(1, 2)) if share else int(number)
    if share:
        return min(max(count, 1), total - 1)
    if count >= total:
        raise UserError(
            f"option {option} is {wanted}, but there are {total} labeled images, and some must be "
            f"left to learn from; give at most {total - 1}, or a share such as 0.2"
        )
    return count


def hold_out(presence: Array, digests: Sequence[str], count: int, seed: int) -> list[int]:
    """A choice that depends on what images hold, and keeps the share of each class.

    Every image has a place in a row, by a hash of its content and the seed, so that an image more
    or less moves few others. Class by class, the rarest first, the first images that show it are
    held out, as many as its share asks for and one at least; the rest comes from the beginning of
    the row. An image that alone shows a class is never held out: it could not be learned. Images of
    equal content stay together.

    Args:
        presence: (images, classes) bool.
        digests: Of the contents of the images.
        count: Images to hold out.
        seed: Another one gives another row.

    Returns:
        Indices, sorted; fewer than asked for where classes would be lost.
    """
    groups = in_row(digests, seed)
    total = presence.sum(0)
    wish = np.clip(np.round(total * count / max(1, len(digests))), 1, None)
    shows = {digest: presence[places].sum(0) for digest, places in groups.items()}
    held, chosen, room = np.zeros_like(total), set[str](), count

    def take(digest: str) -> None:
        nonlocal room
        lost = ((shows[digest] > 0) & (total - held - shows[digest] < 1)).any()
        if digest not in chosen and len(groups[digest]) <= room and not lost:
            chosen.add(digest)
            held[:] += shows[digest]
            room -= len(groups[digest])

    for rarest in np.lexsort((np.arange(len(total)), total)):
        for digest in groups:
            if shows[digest][rarest] and held[rarest] < wish[rarest]:
                take(digest)
    for digest in groups:
        take(digest)
    return sorted(place for digest in chosen for place in groups[digest])


def in_row(digests: Sequence[str], seed: int) -> dict[str, list[int]]:
    """The places of the images of each content; the contents in an order by their hashes.

    Args:
        digests: Of the contents of the images.
        seed: Another one gives another order.
    """
    groups = defaultdict[str, list[int]](list)
    for place, digest in enumerate(digests):
        groups[digest].append(place)
    row = sorted(groups, key=lambda d: hashlib.sha256(f"{seed} {d}".encode()).digest())
    return {digest: groups[digest] for digest in row}


def digests_of(records: Sequence[Record]) -> list[str]:
    """A hash of the file of every image, by which it is known under any name."""
    files = [record.image for record in records if isinstance(record.image, Path)]

    def find() -> list[str]:
        return list(in_threads(_digest, files))

    return kept("digests", files, find)


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:16]
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error}); replace or remove it") from error


def uncertainty(images: int) -> str:
    """How far a score on so few images may be from that on many, as a sentence; empty for many."""
    if images >= FEW:
        return ""
    points = round(1.96 * SPREAD / math.sqrt(images))
    return (
        f"a score on {images} image{'s' * (images != 1)} is uncertain by about {points} points of "
        f"mIoU (95 %, if single images differ by {SPREAD}), so smaller differences mean nothing"
    )
