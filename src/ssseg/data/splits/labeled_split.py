"""Which training images are labeled: counts, fractions, coverages, protocols and list files."""

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
    """The training images, in two parts."""

    name: str
    """How the split was made, e.g. `1/8 seed 0`."""
    labeled: list[Record]
    rest: list[Record]
    """Training images whose masks are not looked at in training."""
    notices: tuple[str, ...] = ()
    """What a person should know of it, e.g. that a list names an image twice."""


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
            or `0.125`), a coverage (`3/class`: a small choice in which every class occurs in three
            images, or in all that show it), a list file (see `read_list`), or None or `all`.
        seed: Of the choice.
        select: How counts and fractions choose. `random`: those of one seed are nested, the first
            30 are among the first 60. `stratified`: each class occurs in about the same share of
            the labeled images as of all, and in one at least where the count allows.
        source: Where the records come from: its protocols, the endings of its file names, its
            masks. Without it only counts, fractions and lists can be had.
        presence: Which classes occur in which record, (images, classes) bool. None: the masks of
            all records are read, if the choice asks for it.

    Raises:
        UserError: For a number that is out of range, a list that names unknown images or was made
            for other masks, and options that do not go together.
    """
    if select not in get_args(Select):
        raise one_of("value of option data.select", select, list(get_args(Select)))
    if wanted is None or wanted == "all":
        return LabeledSplit("all", records, [])
    by_number = is_choice(wanted, source)
    coverage = COVERAGE.fullmatch(wanted) if by_number else None
    if select != "random" and (coverage or not by_number):
        raise UserError(
            f"option data.select is {select}, but data.labeled is {wanted}, which leaves no choice "
            "to it; expected a count, a fraction such as 1/8, or data.select random"
        )
    if not by_number:
        return _named(records, wanted, source)
    if seed < 0:
        raise UserError(f"option data.split_seed is {seed}; expected a number of at least 0")
    # wrong numbers are said before any mask is read
    if coverage and int(coverage[1]) < 1:
        raise UserError(f"option data.labeled is {wanted}; expected at least 1/class")
    count = 0 if coverage else count_of(wanted, len(records), wanted)
    rng = np.random.default_rng(seed_of(seed, "split"))
    if select == "random" and not coverage:
        chosen = rng.permutation(len(records))[:count].tolist()
        return _parted(f"{wanted} seed {seed}", records, chosen)
    if source is None:
        raise ValueError(f"{wanted} {select} looks at masks; pass the source of the records")
    shown = class_presence(source, records) if presence is None else presence()
    if coverage:
        chosen, notices = _covering(source, shown, wanted, int(coverage[1]), rng)
        return _parted(f"{wanted} seed {seed}", records, chosen, notices)
    return _parted(f"{wanted} stratified seed {seed}", records, stratify(shown, count, rng))


def is_choice(wanted: str, source: Source | None = None) -> bool:
    """Whether images are chosen by number and seed, and not all or named by a list or protocol."""
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
    """The choice of a coverage, and which classes are too rare for it."""
    if not shown.any():
        raise UserError(
            f"option data.labeled is {wanted}, but no class of {source.name} occurs in any "
            "training mask; label some pixels"
        )
    scarce = [
        f"class {info.name!r} occurs in {number} training image{'s' * (number > 1)} only, fewer "
        f"than {wanted} asks for: all are labeled"
        for info, number in zip(source.classes, shown.sum(0).tolist(), strict=True)
        if 0 < number < least
    ]
    return cover(shown, least, rng), tuple(scarce)


def _named(records: list[Record], wanted: str, source: Source | None) -> LabeledSplit:
    """What a protocol or a list names."""
    protocols = {} if source is None else source.protocols()
    if wanted in protocols:
        ids, known = set(protocols[wanted]), {record.id for record in records}
        if not ids <= known:
            raise UserError(
                f"protocol {wanted} names {len(ids - known)} images that are not among the "
                f"{len(records)} training images, e.g. {min(ids - known)!r}; the copy of the data "
                "set is incomplete, or its training images are others"
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
                f"{wanted} was written for images and masks with hash {listed.hash}, but those it "
                f"names now have {found}: the masks or the list were changed since; if that is "
                "meant, remove its line '# hash', or write it anew with ssseg split"
            )
    return split
