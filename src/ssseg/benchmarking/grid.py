"""A grid of runs to compare: rows (methods or variants), columns (splits, data) and seeds."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ssseg.errors import UserError, one_of
from ssseg.methods import METHODS, method_class
from ssseg.runs.command import groups, pairs, typed
from ssseg.runs.paths import slug

Options = Mapping[str, Any]
"""Options of `ssseg fit` by name, without the dashes: `{"method.pair": "random"}`."""


class Grid(NamedTuple):
    """A benchmark: every row with every column and every seed, with shared options."""

    rows: Mapping[str, Options]
    columns: Mapping[str, Options]
    seeds: Sequence[int]
    options: Sequence[str] = ()
    published: Mapping[str, Mapping[str, float]] = {}
    """Published mIoU in percent by row and column, which the report prints beside the results."""
    skip: Mapping[str, Sequence[str]] = {}
    """Columns for which a row has no run."""
    test: bool = False
    """Also score the last step of every run on the test images."""


class Planned(NamedTuple):
    """A planned run: its `ssseg fit` command line and its folder."""

    row: str
    column: str
    seed: int
    folder: Path
    args: list[str]
    test: bool = False

    @property
    def cell(self) -> str:
        """Row and column, for messages; equal for runs that differ in the seed only."""
        return " ".join(part for part in (self.row, self.column) if part)

    @property
    def name(self) -> str:
        """Row, column and seed, for messages."""
        return f"{self.cell} seed {self.seed}"


def plan(grid: Grid, out: Path) -> list[Planned]:
    """The runs of a grid, ordered by seed first, so that all rows are trained with one seed early.

    Args:
        grid: The grid. A shared option of one method (`--complexmix.blocks`) is used for the rows
            of that method only; `--method.threshold` for the rows whose method has this option.
        out: Folder of the benchmark; each run has a folder inside.

    Raises:
        UserError: For two runs with the same folder, and for options of methods that no row has.
    """
    runs = []
    _check_reach(grid)
    for seed in grid.seeds:
        for column, place in grid.columns.items():
            for row, options in grid.rows.items():
                if column in grid.skip.get(row, ()):
                    continue
                method = options["method"]
                parts = (slug(row), slug(column), f"seed{seed}")
                folder = out / "-".join(part for part in parts if part)
                args = ["fit", "--method", method, "--seed_everything", str(seed)]
                args += ["--out", str(folder)]
                words = _for_method(method, grid.options, shared=True)
                for name, value in {**place, **options}.items():
                    if name != "method":
                        word = typed({name: value})
                        words += _for_method(method, word, shared=name not in options)
                args += _last_of(words)
                runs.append(Planned(row, column, seed, folder, args, grid.test))
    folders = [run.folder for run in runs]
    for run in runs:
        if folders.count(run.folder) > 1:
            raise UserError(f"two runs would share the folder {run.folder}; label them differently")
    return runs


def _last_of(words: Sequence[str]) -> list[str]:
    """Remove `--data` and `--network` that a later one overrides; `ssseg fit` accepts only one."""
    flags = [flag for flag, _ in pairs(words)]
    out: list[str] = []
    for place, group in enumerate(groups(words)):
        if flags[place] not in ("--data", "--network") or flags[place] not in flags[place + 1 :]:
            out += group
    return out


def _for_method(method: str, words: Sequence[str], *, shared: bool = False) -> list[str]:
    """The options that apply to a method: those for all methods, and those with its name.

    Args:
        method: Name of the method.
        words: Options as typed.
        shared: Leave out options `--method.NAME` that this method does not have.
    """
    out: list[str] = []
    for (first, *rest), (flag, _) in zip(groups(words), pairs(words), strict=True):
        head, option = _parts(flag)
        if head in METHODS:
            if head == method:
                out += [f"--method.{first.removeprefix(f'--{head}.')}", *rest]
        elif not (shared and head == "method" and option not in _known(method)):
            out += [first, *rest]
    return out


def _parts(flag: str) -> tuple[str, str]:
    """The group and the name of an option, e.g. `--method.pair`; ("", "") without a group."""
    head, dot, rest = flag.removeprefix("--").partition(".")
    return (head, rest.split(".")[0].rstrip("+")) if dot else ("", "")


def _known(method: str) -> list[str]:
    """The options of a method. This imports torch, so it is called only if needed."""
    from ssseg.methods.base import defaults

    return list(defaults(method_class(method)))


def _check_reach(grid: Grid) -> None:
    """Check that every option of a method applies to a row.

    Raises:
        UserError: For the first option that does not.
    """

    def methods_of(rows: Iterable[str]) -> list[str]:
        return list(dict.fromkeys(str(grid.rows[row]["method"]) for row in rows))

    reaches = [(list(grid.options), methods_of(grid.rows))]
    for column, place in grid.columns.items():
        present = [row for row in grid.rows if column not in grid.skip.get(row, ())]
        reaches.append((typed(place), methods_of(present)))
    for words, methods in reaches:
        for flag, _ in pairs(words):
            head, option = _parts(flag)
            if head in METHODS and head not in methods:
                raise UserError(
                    f"option {flag} is for rows of {head}, but no row uses it; expected an option "
                    f"of {', '.join(methods)}"
                )
            if head == "method" and not any(option in _known(method) for method in methods):
                known = {name: None for method in methods for name in _known(method)}
                raise one_of("option of the methods compared", option, list(known))
