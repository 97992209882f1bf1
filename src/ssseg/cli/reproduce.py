"""`ssseg reproduce`: the grids that come with ssseg, by name; a layer over `ssseg benchmark`."""

from collections.abc import Iterable, Sequence

from rich.console import Console

from ssseg.benchmarking.benchmark import check_runs, default_folder, run_benchmark
from ssseg.benchmarking.committed_grids import about, committed_grid, folder_name, listed, size_of
from ssseg.benchmarking.grid import plan
from ssseg.benchmarking.needs import check_roots, data_missing, measured, needed
from ssseg.benchmarking.preflight import ImpossibleRunsError
from ssseg.benchmarking.run_state import run_state
from ssseg.cli.benchmark import asked_by
from ssseg.cli.explain import table
from ssseg.errors import UserError

HELP = """usage: ssseg reproduce [GRID [options]]

Trains the rows of a paper's table and prints the scores beside the paper's. Without GRID it lists
the grids. Before anything trains it says what the runs need; with --dry-run it ends there.

options:
  --data.root FOLDER  the data set, where the table is not of drawn scenes
  --smoke             the rows with few steps, on drawn scenes
  All options of ssseg benchmark GRID.yaml, and of ssseg fit; see ssseg benchmark --help.
"""


def reproduce(args: Sequence[str]) -> int:
    """Run `ssseg reproduce`; returns 0 when every run finished."""
    if not args:
        print(table(listed()))
        return 0
    if {"-h", "--help"} & set(args):
        print(HELP, end="")
        return 0
    name, *options = args
    if name.startswith("-"):
        raise UserError(f"{name} stands before a grid; give ssseg reproduce GRID {name}")
    file = committed_grid(name)
    folder = default_folder(folder_name(name), "--smoke" in options)
    asked = asked_by([str(file), "--out", str(folder), *options])
    runs, work = plan(asked.grid, asked.out), asked.work
    console = Console(markup=False, emoji=False)  # labels and options may contain brackets
    rows = [("grid", str(file)), ("", about(file)), ("runs", size_of(asked.grid))]
    _say([*rows, *needed(runs)], console)
    check_roots(runs)
    left = any(run_state(run) not in ("trained", "finished") for run in runs)
    try:
        looked = check_runs(runs, work, console, measure=left)
    except ImpossibleRunsError as error:
        raise data_missing(runs, error) from error
    if left:
        _say(measured(runs, looked, work.at_once(looked.gpus)), console)
    if not asked.dry_run:
        run_benchmark(asked.grid, asked.out, work, console, looked)
    return 0


def _say(rows: Iterable[tuple[str, str]], console: Console) -> None:
    for key, text in rows:
        console.print(f"{key:8} {text}", highlight=False, soft_wrap=True)
