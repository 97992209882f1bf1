"""What is compared: rows (methods or variants), columns (splits, data) and seeds."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ssseg.errors import UserError
from ssseg.methods import METHODS

Options = Mapping[str, Any]
"""Options of `ssseg fit` by name, without the dashes: `{"method.pair": "random"}`."""


class Grid(NamedTuple):
    """A study: every row with every column and every seed, over shared options."""

    rows: Mapping[str, Options]
    columns: Mapping[str, Options]
    seeds: Sequence[int]
    options: Sequence[str] = ()
    published: Mapping[str, Mapping[str, float]] = {}
    """A paper's mIoU in percent by row and column, for the report to print beside ours."""
    skip: Mapping[str, Sequence[str]] = {}
    """Columns that a row has no run for."""
    test: bool = False
    """Score the last step of every run on the test images as well."""


class Planned(NamedTuple):
    """One run: an `ssseg fit` command line and the folder that it fills."""

    row: str
    column: str
    seed: int
    folder: Path
    args: list[str]
    test: bool = False

    @property
    def cell(self) -> str:
        """What it has in common with runs of other seeds, for people."""
        return " ".join(part for part in (self.row, self.column) if part)

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.cell} seed {self.seed}"


def plan(grid: Grid, out: Path) -> list[Planned]:
    """The runs of a grid, seeds outermost, so that an early look compares like with like.

    Args:
        grid: What is compared. A shared option of one method (`--complexmix.blocks`) goes to that
            method's rows alone.
        out: Folder of the study; each run gets a folder inside.
    """
    runs = []
    for seed in grid.seeds:
        for column, place in grid.columns.items():
            for row, options in grid.rows.items():
                if column in grid.skip.get(row, ()):
                    continue
                method = options["method"]
                parts = (slug(row), slug(column), f"seed{seed}")
                name = "-".join(part for part in parts if part)
                folder = out / name
                args = ["fit", "--method", method, "--seed_everything", str(seed)]
                own = typed({**place, **{k: v for k, v in options.items() if k != "method"}})
                args += ["--out", str(folder)]
                args += _last_of(_options_for(method, [*grid.options, *own]))
                runs.append(Planned(row, column, seed, folder, args, grid.test))
    folders = [run.folder for run in runs]
    for run in runs:
        if folders.count(run.folder) > 1:
            raise UserError(f"two runs would share the folder {run.folder}; label them differently")
    return runs


def _last_of(words: Sequence[str]) -> list[str]:
    """Without the data sets and networks that a later one overrides: `ssseg fit` wants one."""
    flags = [word.split("=")[0] if word.startswith("--") else "" for word in words]
    out: list[str] = []
    flag, keep = "", True
    for place, word in enumerate(words):
        if flags[place]:
            flag = flags[place]
            keep = flag not in ("--data", "--network") or flag not in flags[place + 1 :]
        if keep:
            out.append(word)
    return out


def typed(options: Options) -> list[str]:
    """Options as they are typed."""
    return [f"--{name}={_text(value)}" for name, value in options.items()]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def slug(text: str) -> str:
    """A label as a part of a file name."""
    return re.sub(r"[^A-Za-z0-9_.]+", "-", text).strip("-")


def _options_for(method: str, options: Sequence[str]) -> list[str]:
    """The shared options and this method's own, which start with its name."""
    out: list[str] = []
    mine = True
    for word in options:
        if word.startswith("--"):
            head, dot, rest = word[2:].partition(".")
            own = bool(dot) and head in METHODS
            mine = not own or head == method
            word = f"--method.{rest}" if own else word
        if mine:
            out.append(word)
    return out
