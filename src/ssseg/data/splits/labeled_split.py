"""The labeled training images: by count, fraction, coverage, protocol or list file."""

import re
from collections.abc import Callable, Iterable
from typing import Literal, NamedTuple, get_args

import numpy as np

from ssseg.data.datasets.base import Array, Record, Source
from ssseg.data.splits.content_hash import content_hash
from ssseg.data.splits.counts import count_of, number_of
from ssseg.data.splits.list_files import read_list
from ssseg.data.splits.stratify import class_presence, cover, stratify
from ssseg.errors import UserError, one_of
from ssseg.seeding import seed_of

Select = Literal["random", "stratified"]
COVERAGE = re.compile(r"(\d+)/class")


class LabeledSplit(NamedTuple):
    """The training images, divided into labeled and unlabeled ones."""

    name: str
    """How the split was made, e.g. `1/8 seed 0`."""
    labeled: list[Record]
    rest: list[Record]
    """Training images whose masks are not used in training."""
    notices: tuple[str, ...] = ()
    """Messages for the user, e.g. that a list names an image twice."""


def split_labeled(
    records: list[Record],
    wanted: str | None,
    seed: int,
    select: Select = "random",
    source: Source | None = None,
    presence: Callable[[], Array] | None = None,
) -> LabeledSplit:
    """Choose the labeled images among the training records.

    Args:
        records: Training images with masks.
        wanted: A protocol of the data set (`Source.protocols`), a count (`30`), a fraction (`1/8`
            or `0.125`), a coverage (`3/class`: few images, so that every class occurs in at least
            three of them, or in all images with this class), a list file (see `read_list`), or
            None or `all`.
        seed: Seed of the choice.
        select: How images are chosen for a count or fraction. `random`: with one seed, a smaller
            choice is a part of a larger one. `stratified`: each class occurs in about the same
            share of the labeled images as of all images, and in at least one if the count allows.
        source: The data set, for its protocols, suffixes of file names and masks. Without it only
            random counts, fractions and lists are possible.
        presence: Function that returns whether each class occurs in each record, (N, C) bool. None:
            the masks of all records are read, if needed.

    Raises:
        UserError: For a number that is out of range, a list with unknown images or for other masks,
            and options that contradict each other.
    """
    if select not in get_args(Select):
        raise one_of("value of option data.select", select, list(get_args(Select)))
    if wanted is None or wanted == "all":
        return LabeledSplit("all", records, [])
    by_number = is_choice(wanted, source)
    coverage = COVERAGE.fullmatch(wanted) if by_number else None
    if select != "random" and (coverage or not by_number):
        raise UserError(
            f"option data.select is {select}, but data.labeled is {wanted}; data.select needs a "
            "count or a fraction such as 1/8; change data.labeled, or give data.select random"
        )
    if not by_number:
        return _named(records, wanted, source)
    if seed < 0:
        raise UserError(f"option data.split_seed is {seed}; expected a number of at least 0")
    # check the numbers before masks are read
    if coverage and int(coverage[1]) < 1:
        raise UserError(f"option data.labeled is {wanted}; expected at least 1/class")
    count = 0 if coverage else count_of(wanted, len(records), wanted)
    rng = np.random.default_rng(seed_of(seed, "split"))
    if select == "random" and not coverage:
        chosen = rng.permutation(len(records))[:count].tolist()
        return _parted(f"{wanted} seed {seed}", records, chosen)
    if source is None:
        raise ValueError(f"{wanted} {select} needs the masks; pass the source of the records")
    shown = class_presence(source, records) if presence is None else presence()
    if coverage:
        chosen, notices = _covering(source, shown, wanted, int(coverage[1]), rng)
        return _parted(f"{wanted} seed {seed}", records, chosen, notices)
    return _parted(f"{wanted} stratified seed {seed}", records, stratify(shown, count, rng))


def is_choice(wanted: str, source: Source | None = None) -> bool:
    """Whether `wanted` is a count, fraction or coverage, which depends on the seed."""
    if source is not None and wanted in source.protocols():
        return False
    return COVERAGE.fullmatch(wanted) is not None or number_of(wanted) is not None


def _parted(
    name: str, records: list[Record], chosen: Iterable[int], notices: tuple[str, ...] = ()
) -> LabeledSplit:
    places = set(chosen)
    return LabeledSplit(
        name,
        [r for i, r in enumerate(records) if i in places],
        [r for i, r in enumerate(records) if i not in places],
        notices,
    )


def _covering(
    source: Source, shown: Array, wanted: str, least: int, rng: np.random.Generator
) -> tuple[list[int], tuple[str, ...]]:
    """The images of a coverage, and messages about classes that are too rare for it."""
    if not shown.any():
        raise UserError(
            f"option data.labeled is {wanted}, but no class of {source.name} occurs in any "
            "training mask; label some pixels"
        )
    scarce = [
        f"class {info.name!r} occurs in only {number} training image{'s' * (number > 1)}, fewer "
        f"than in {wanted}: all are labeled"
        for info, number in zip(source.classes, shown.sum(0).tolist(), strict=True)
        if 0 < number < least
    ]
    return cover(shown, least, rng), tuple(scarce)


def _named(records: list[Record], wanted: str, source: Source | None) -> LabeledSplit:
    """The split of a protocol or a list file."""
    protocols = {} if source is None else source.protocols()
    if wanted in protocols:
        ids, known = set(protocols[wanted]), {record.id for record in records}
        if not ids <= known:
            raise UserError(
                f"protocol {wanted} names {len(ids - known)} images that are not among the "
                f"{len(records)} training images, e.g. {min(ids - known)!r}; expected the complete "
                "official data set; download it again"
            )
        return _parted(wanted, records, [i for i, r in enumerate(records) if r.id in ids])
    try:
        listed = read_list(wanted, records, () if source is None else source.endings)
    except UserError as error:
        if protocols and "neither a number nor" in str(error):
            raise UserError(f"{error}, or one of {', '.join(protocols)}") from error
        raise
    chosen = [i for i, r in enumerate(records) if r.id in listed.ids]
    split = _parted(listed.name, records, chosen, listed.notices)
    if listed.hash is not None and source is not None:
        found = content_hash(source, split.labeled)
        if found != listed.hash:
            raise UserError(
                f"{wanted} was written for images and masks with hash {listed.hash}, but they now "
                f"have the hash {found}, so the masks or the list have changed; if this is "
                "intended, remove the line '# hash', or write the list again with ssseg split"
            )
    return split
