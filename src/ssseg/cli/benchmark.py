"""`ssseg benchmark`: trains several methods with the same settings and compares them."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from rich.console import Console

from ssseg.benchmarking.benchmark import LAUNCHERS, Work, check_runs, default_folder, run_benchmark
from ssseg.benchmarking.grid import Grid, Planned, plan
from ssseg.benchmarking.grid_file import grid_of, read_grid
from ssseg.benchmarking.needs import estimated
from ssseg.benchmarking.preflight import Forecast
from ssseg.benchmarking.progress_table import durations
from ssseg.benchmarking.run_state import check_run_state
from ssseg.cli.parsing import VerbParser
from ssseg.errors import UserError


def parser() -> VerbParser:
    """The options of the verb; all other options are passed to every `ssseg fit`."""
    out = VerbParser(
        prog="ssseg benchmark",
        usage="ssseg benchmark (GRID.yaml | --methods A,B) [options]",
        description="Train methods with the same split, network and number of steps, and a "
        "supervised run for comparison. A grid file gives rows, columns and seeds (see "
        "experiments/). All other options are passed to every `ssseg fit`; an option that starts "
        "with the name of a method (--classmix.threshold 0.9) is passed to that method only.",
    )
    out.add_argument("--methods", help="names, separated by commas")
    out.add_argument("--splits", help="choices of labeled images, e.g. 1/16,1/8")
    out.add_argument("--networks", help="names of networks, e.g. unet,deeplabv3plus")
    out.add_argument("--seeds", help="number of seeds (from 0), or a list: 3,4,5; default 1")
    out.add_argument("--no-supervised", action="store_true", help="do not add a supervised run")
    out.add_argument("--test", action="store_true", help="score the last step on the test images")
    out.add_argument("--smoke", action="store_true", help="use the smoke form of the grid")
    out.add_argument("--out", help="folder of the benchmark; default runs/ and the grid's name")
    out.add_argument("--jobs", type=int, help="runs at the same time; default one, or one per GPU")
    out.add_argument("--launcher", default="local", help=f"one of {', '.join(LAUNCHERS)}")
    out.add_argument(
        "--address", help="address of a Ray cluster; default RAY_ADDRESS, or this machine"
    )
    out.add_argument(
        "--retries", type=int, default=1, help="restarts of a run that died; default 1"
    )
    out.add_argument(
        "--dry-run", action="store_true", help="list the runs with their duration, train nothing"
    )
    return out


class Asked(NamedTuple):
    """What a command line asks for."""

    grid: Grid
    out: Path
    work: Work
    dry_run: bool


def benchmark(args: Sequence[str]) -> int:
    """Run `ssseg benchmark`; returns 0 when every run finished."""
    asked = asked_by(args)
    console = Console(markup=False, emoji=False)  # labels and options may contain brackets
    if asked.dry_run:
        dry_run(asked.grid, asked.out, asked.work, console)
    else:
        run_benchmark(asked.grid, asked.out, asked.work, console)
    return 0


def asked_by(args: Sequence[str]) -> Asked:
    """The grid, its folder and how its runs are carried out, by the words after the verb.

    Raises:
        UserError: For options that cannot work together, and for a wrong grid.
    """
    # not by argparse, which would take the value of an unknown option as the grid file
    file = Path(args[0]) if args and not args[0].startswith("-") else None
    given, options = parser().parse_known_args(args if file is None else args[1:])
    if options and not options[0].startswith("-"):
        raise UserError(
            f"{options[0]} is not an option; give a grid file as the first argument, without "
            "--methods"
        )
    if (file is None) == (given.methods is None):
        raise UserError("give either a grid file or --methods; see ssseg benchmark --help")
    if file is None:
        if given.smoke:
            raise UserError("option --smoke needs a grid file; give one instead of --methods")
        grid = grid_of(
            given.methods.split(","),
            seeds_of(given.seeds or "1"),
            options,
            splits=_names(given.splits),
            networks=_names(given.networks),
            supervised=not given.no_supervised,
            test=given.test,
        )
    else:
        for name in ("splits", "networks"):
            if getattr(given, name) is not None:
                raise UserError(
                    f"option --{name} needs --methods; with {file}, set {name} in the file"
                )
        grid = read_grid(file, options, smoke=given.smoke, supervised=not given.no_supervised)
        grid = grid if given.seeds is None else grid._replace(seeds=seeds_of(given.seeds))
        grid = grid._replace(test=grid.test or given.test)
    out = Path(given.out or default_folder(file, given.smoke))
    work = Work(given.jobs, given.launcher, given.address, given.retries)
    return Asked(grid, out, work, given.dry_run)


def dry_run(grid: Grid, out: Path, work: Work, console: Console) -> None:
    """Print every command line with its estimated duration, and the sum.

    Raises:
        UserError: If a run cannot work, or its folder has another run.
    """
    runs = plan(grid, out)
    looked = check_runs(runs, work, console, measure=True)
    for planned, forecast in zip(runs, looked.runs, strict=True):
        line = shlex.join(["ssseg", *planned.args])
        console.print(f"{line}  # {_said(planned, forecast)}", highlight=False, soft_wrap=True)
    total = estimated(runs, looked, work.at_once(looked.gpus))
    console.print(f"# {len(runs)} runs, {total}", highlight=False)


def _said(planned: Planned, forecast: Forecast) -> str:
    found = check_run_state(planned, forecast)
    if found in ("finished", "trained"):
        return "finished"
    size = f"{forecast.parameters / 1e6:.1f} million parameters"
    time = "not measured" if forecast.between is None else f"about {durations(*forecast.between)}"
    return f"{time}, {size}{', unfinished' * (found == 'unfinished')}"


def _names(text: str | None) -> list[str]:
    return [] if text is None else [part for part in text.split(",") if part]


def seeds_of(text: str) -> list[int]:
    """Seeds from option text: a count, or a list."""
    try:
        numbers = [int(part) for part in text.split(",")]
    except ValueError as error:
        raise UserError(f"option seeds is {text!r}; expected a count or a list like 3,4") from error
    numbers = numbers if "," in text else list(range(numbers[0]))
    if not numbers:
        raise UserError(f"option seeds is {text!r}; expected at least one seed")
    return numbers
