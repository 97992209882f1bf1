"""What is compared: rows (methods or variants), columns (splits, data) and seeds."""

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
            method's rows alone, one of methods (`--method.threshold`) to those that have it.
        out: Folder of the study; each run gets a folder inside.

    Raises:
        UserError: For two runs of one folder, and for options of methods that no row has.
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
    """Without the data sets and networks that a later one overrides: `ssseg fit` wants one."""
    flags = [flag for flag, _ in pairs(words)]
    out: list[str] = []
    for place, group in enumerate(groups(words)):
        if flags[place] not in ("--data", "--network") or flags[place] not in flags[place + 1 :]:
            out += group
    return out


def _for_method(method: str, words: Sequence[str], *, shared: bool = False) -> list[str]:
    """The options for all methods and this method's own, which start with its name.

    Args:
        method: Its name.
        words: Options as typed.
        shared: Leave out options of methods that this one does not have: they are for others.
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
    """What an option is of, and its name; ("", "") for one that is of nothing."""
    head, dot, rest = flag.removeprefix("--").partition(".")
    return (head, rest.split(".")[0].rstrip("+")) if dot else ("", "")


def _known(method: str) -> list[str]:
    """The options of a method. Imports it, and torch with it: asked only where it matters."""
    from ssseg.methods.base import defaults

    return list(defaults(method_class(method)))


def _check_reach(grid: Grid) -> None:
    """Refuse options of methods that no row has.

    Raises:
        UserError: For the first one.
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
                    f"option {flag} is for rows of {head}, but there are none; rows are of "
                    f"{', '.join(methods)}"
                )
            if head == "method" and not any(option in _known(method) for method in methods):
                known = {name: None for method in methods for name in _known(method)}
                raise one_of("option of the methods compared", option, list(known))
