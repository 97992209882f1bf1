"""`ssseg split`: which images are labeled, said, checked and written down as a list."""

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
"""What these are called in `ssseg fit`, whose options can be pasted."""


def parser() -> Parser:
    """The options of the verb."""
    out = Parser(
        prog="ssseg split",
        usage="ssseg split (FOLDER | --data NAME) [--data.OPTION VALUE] --labeled 1/8 [options]",
        description="Choose the labeled images, say which classes they show, and write them down "
        "for --data.labeled. Lists and published protocols are described, and only written with "
        "--out. Reads the masks of all training images.",
    )
    out.add_argument(
        "--labeled",
        help="a count, a fraction (1/8), a coverage (3/class), a protocol of the data set, "
        "a list file, or all",
    )
    out.add_argument(
        "--select", default="random", help="how a count or fraction chooses: random or stratified"
    )
    out.add_argument("--seed", type=int, default=0, help="of the choice; default 0")
    out.add_argument("--out", type=Path, help="the file; default NAME_LABELED_seedSEED.txt")
    return out


class Asked(NamedTuple):
    """A choice of labeled images, as it was asked for."""

    source: Source
    wanted: str
    select: Select
    seed: int

    @property
    def options(self) -> str:
        """What to type for it."""
        if not is_choice(self.wanted, self.source):
            return f"--labeled {self.wanted}"
        how = f" --select {self.select}" * (self.select != "random")
        return f"--labeled {self.wanted}{how} --seed {self.seed}"

    @property
    def file_name(self) -> Path:
        """Where its list is written unless the user says otherwise."""
        parts = [self.source.name, self.wanted.replace("/", "-")]
        parts += [self.select] * (self.select != "random")
        return Path("_".join([*parts, f"seed{self.seed}.txt"]))


def split_verb(args: Sequence[str]) -> int:
    """Carry out the verb; 0 when it worked.

    Raises:
        UserError: For options that cannot work, and a file that would be overwritten.
    """
    source, given = parser().parse([_short(word) for word in args])
    asked = ask(source, given.labeled, given.select, given.seed)
    console = Console(markup=False, emoji=False)  # names of classes and files are no markup
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
    """A choice by its options; the data set's own default where none is wanted.

    Raises:
        UserError: Where there is no default either.
    """
    if wanted is None and source.labeled is None:
        raise UserError("option --labeled is missing; give a count, a fraction such as 1/8, a list")
    return Asked(source, str(source.labeled if wanted is None else wanted), select, seed)


def choose(asked: Asked, presence: Callable[[], Array] | None = None) -> LabeledSplit:
    """What `SegmentationData` would choose with these options.

    Raises:
        UserError: For what cannot be chosen.
    """
    source, wanted, select, seed = asked
    records = source.records("train")
    if not records:
        raise UserError(f"data set {source.name!r} has no training images with masks")
    return split_labeled(records, wanted, seed, select, source, presence)


def text_of(asked: Asked, split: LabeledSplit, digest: str) -> str:
    """A list file: how it was made and the hash as comments, then one id per line."""
    total = len(split.labeled) + len(split.rest)
    head = [
        f"{HEADER} {asked.source.name} {asked.options}",
        f"# {split.name}: {len(split.labeled)} of {total} training images",
        f"# hash {digest}",
    ]
    return "\n".join([*head, *(record.id for record in split.labeled), ""])


def write(path: Path, text: str) -> bool:
    """Write a list where there is none; False if it stands there already.

    Raises:
        UserError: For a file of other content, and one that cannot be written.
    """
    try:
        if path.is_file():
            if path.read_bytes() == text.encode():
                return False
            raise UserError(
                f"{path} exists and is another list; remove it, or give a new name with --out"
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
    """In how many labeled and training images each class occurs."""
    table = Table("class", box=None)
    for column in ("labeled", "training", "share"):
        table.add_column(column, justify="right")
    counts = zip(source.classes, shown[labeled].sum(0), shown.sum(0), strict=True)
    for info, some, every in counts:
        share = f"{some / every:.0%}" if every else ""
        table.add_row(info.name, str(some), str(every), share)
    return table


def _warnings(source: Source, shown: Array, labeled: Array) -> list[str]:
    """Classes that cannot be learned from these labels."""
    said = []
    for place, info in enumerate(source.classes):
        every = int(shown[:, place].sum())
        if not every:
            said.append(f"class {info.name!r} occurs in no training image")
        elif not shown[labeled, place].any():
            many = f"{every} training image{'s' * (every > 1)}"
            said.append(f"class {info.name!r} occurs in {many}, but in no labeled one")
    return said
