"""The grids that come with ssseg: the tables of papers, by name, such as `classmix/table1`."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import yaml

from ssseg.benchmarking.grid import Grid, plan
from ssseg.benchmarking.grid_file import read_grid
from ssseg.errors import UserError, one_of

PACKAGE = Path(__file__).parents[1]


def committed_grids() -> dict[str, Path]:
    """The files of the grids by name; recipes, which they name, are left out.

    Raises:
        UserError: If this installation has no grids.
    """
    # in a wheel they lie inside of the package, see pyproject.toml
    for folder in (PACKAGE / "experiments", PACKAGE.parents[1] / "experiments"):
        files = sorted(folder.glob("*/*.yaml"), key=_order)
        if files:
            named = ((f"{file.parent.name}/{file.stem}", file) for file in files)
            return {name: file for name, file in named if _is_grid(file)}
    raise UserError(
        f"there are no grids in {PACKAGE / 'experiments'}; install ssseg from its wheel or with "
        "pip install -e, or give a grid file to ssseg benchmark"
    )


def _order(file: Path) -> tuple[str, str]:
    """Table 10 comes after table 9."""
    return file.parent.name, re.sub(r"\d+", lambda number: number[0].zfill(3), file.stem)


def _is_grid(file: Path) -> bool:
    return bool({"rows", "methods"} & yaml.safe_load(file.read_text(encoding="utf-8")).keys())


def committed_grid(name: str) -> Path:
    """The file of a grid.

    Raises:
        UserError: For an unknown name, with the most similar known one.
    """
    known = committed_grids()
    if name not in known:
        raise one_of("grid", name, list(known))
    return known[name]


def folder_name(name: str) -> Path:
    """What a grid is called in `runs/`: papers number their tables alike."""
    return Path(name.replace("/", "-")).with_suffix(".yaml")


class Listed(NamedTuple):
    """A line of the list of grids."""

    name: str
    size: str
    about: str


def listed() -> Iterable[Listed]:
    """All committed grids: name, number of rows and runs, and what the file says first."""
    for name, file in committed_grids().items():
        grid = read_grid(file)
        yield Listed(name, size_of(grid), about(file))


def size_of(grid: Grid) -> str:
    """Rows and runs of a grid, such as `6 rows, 54 runs`."""
    runs = len(plan(grid, Path()))
    return f"{len(grid.rows)} row{'s' * (len(grid.rows) != 1)}, {runs} run{'s' * (runs != 1)}"


def about(file: Path) -> str:
    """The first line of a grid's comment."""
    first = file.read_text(encoding="utf-8").partition("\n")[0]
    return first.removeprefix("#").strip().removesuffix(".")
