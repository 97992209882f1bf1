"""`ssseg split`: chooses the labeled images, prints their classes and writes a list."""

from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from rich.console import Console
from rich.table import Table

from ssseg.cli.data_options import Parser
from ssseg.data.datasets.base import Array, Source
from ssseg.data.splits.content_hash import content_hash
from ssseg.data.splits.labeled_split import LabeledSplit, Select, is_choice, split_labeled
from ssseg.data.splits.list_files import HEADER
from ssseg.data.splits.stratify import class_presence
from ssseg.errors import UserError

SAME = {"--data.labeled": "--labeled", "--data.select": "--select", "--data.split_seed": "--seed"}
"""Options of `ssseg fit`, which are accepted too, -> options of this verb."""


def parser() -> Parser:
    """The options of the verb."""
    out = Parser(
        prog="ssseg split",
        usage="ssseg split (FOLDER | --data NAME) [--data.OPTION VALUE] --labeled 1/8 [options]",
        description="Choose the labeled images, print the number of images of each class, and "
        "write a list for --data.labeled. For lists and published protocols a list is written "
        "only with --out. Reads the masks of all training images.",
    )
    out.add_argument(
        "--labeled",
        help="a count, a fraction (1/8), a coverage (3/class), a protocol of the data set, "
        "a list file, or all",
    )
    out.add_argument(
        "--select", default="random", help="how a count or fraction chooses: random or stratified"
    )
    out.add_argument("--seed", type=int, default=0, help="seed of the choice; default 0")
    out.add_argument("--out", type=Path, help="list file; default NAME_LABELED_seedSEED.txt")
    return out


class Asked(NamedTuple):
    """The options of a choice of labeled images."""

    source: Source
    wanted: str
    select: Select
    seed: int

    @property
    def options(self) -> str:
        """The options as typed."""
        if not is_choice(self.wanted, self.source):
            return f"--labeled {self.wanted}"
        how = f" --select {self.select}" * (self.select != "random")
        return f"--labeled {self.wanted}{how} --seed {self.seed}"

    @property
    def file_name(self) -> Path:
        """The default name of the list file."""
        parts = [self.source.name, self.wanted.replace("/", "-")]
        parts += [self.select] * (self.select != "random")
        return Path("_".join([*parts, f"seed{self.seed}.txt"]))


def split_verb(args: Sequence[str]) -> int:
    """Run `ssseg split`; returns 0.

    Raises:
        UserError: For options that cannot work, and a file that would be overwritten.
    """
    source, given = parser().parse([_short(word) for word in args])
    asked = ask(source, given.labeled, given.select, given.seed)
    console = Console(markup=False, emoji=False)  # class and file names may contain brackets
    say = partial(console.print, highlight=False, soft_wrap=True)
    records = source.records("train")
    presence = cache(partial(class_presence, source, records))
    with console.status("reading masks"):
        split = choose(asked, presence)
        digest = content_hash(source, split.labeled)
        shown = presence()
    say(f"split    {split.name}, of {source.name}")
    say(f"hash     {digest}")
    say(f"labeled  {len(split.labeled)} of {len(records)} training images\n")
    ids = {record.id for record in split.labeled}
    labeled = np.array([record.id in ids for record in records])
    console.print(_table(source, shown, labeled))
    for line in [*split.notices, *_warnings(source, shown, labeled)]:
        say(f"warning: {line}")
    out = given.out
    if out is None and is_choice(asked.wanted, source):
        out = asked.file_name
    if out is not None:
        new = write(out, text_of(asked, split, digest))
        say(f"\n{'wrote' if new else 'unchanged'}  {out}, for --data.labeled {out}")
    return 0


def ask(source: Source, wanted: str | float | None, select: Select, seed: int) -> Asked:
    """The options of a choice; if `wanted` is None, the default of the data set.

    Raises:
        UserError: If `wanted` is None and the data set has no default.
    """
    if wanted is None and source.labeled is None:
        raise UserError("option --labeled is missing; give a count, a fraction such as 1/8, a list")
    return Asked(source, str(source.labeled if wanted is None else wanted), select, seed)


def choose(asked: Asked, presence: Callable[[], Array] | None = None) -> LabeledSplit:
    """The split that `SegmentationData` makes with these options.

    Raises:
        UserError: For a choice that is not possible.
    """
    source, wanted, select, seed = asked
    records = source.records("train")
    if not records:
        raise UserError(f"data set {source.name!r} has no training images with masks")
    return split_labeled(records, wanted, seed, select, source, presence)


def text_of(asked: Asked, split: LabeledSplit, digest: str) -> str:
    """The text of a list file: comments with options and hash, then one id per line."""
    total = len(split.labeled) + len(split.rest)
    head = [
        f"{HEADER} {asked.source.name} {asked.options}",
        f"# {split.name}: {len(split.labeled)} of {total} training images",
        f"# hash {digest}",
    ]
    return "\n".join([*head, *(record.id for record in split.labeled), ""])


def write(path: Path, text: str) -> bool:
    """Write a list file; returns False if the file exists with the same content.

    Raises:
        UserError: If the file exists with other content, or cannot be written.
    """
    try:
        if path.is_file():
            if path.read_bytes() == text.encode():
                return False
            raise UserError(
                f"{path} exists with another list; remove it, or give a new name with --out"
            )
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8", newline="\n") as file:
            file.write(text)
    except OSError as error:
        raise UserError(f"{path} cannot be written ({error}); give another with --out") from error
    return True


def _short(word: str) -> str:
    option, equals, value = word.partition("=")
    return SAME.get(option, option) + equals + value


def _table(source: Source, shown: Array, labeled: Array) -> Table:
    """Number of labeled and of all training images in which each class occurs."""
    table = Table("class", box=None)
    for column in ("labeled", "training", "share"):
        table.add_column(column, justify="right")
    counts = zip(source.classes, shown[labeled].sum(0), shown.sum(0), strict=True)
    for info, some, every in counts:
        share = f"{some / every:.0%}" if every else ""
        table.add_row(info.name, str(some), str(every), share)
    return table


def _warnings(source: Source, shown: Array, labeled: Array) -> list[str]:
    """Messages about classes without a labeled image."""
    said = []
    for place, info in enumerate(source.classes):
        every = int(shown[:, place].sum())
        if not every:
            said.append(f"class {info.name!r} occurs in no training image")
        elif not shown[labeled, place].any():
            many = f"{every} training image{'s' * (every > 1)}"
            said.append(f"class {info.name!r} occurs in {many}, but in no labeled one")
    return said
