"""A benchmark from its grid to its report."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from rich.console import Console

from ssseg.benchmarking.grid import Grid, Planned, plan
from ssseg.benchmarking.launchers import Launcher, Local
from ssseg.benchmarking.preflight import Forecasts, preflight
from ssseg.benchmarking.run_state import run_state
from ssseg.benchmarking.runner import Runner, RunsFailedError
from ssseg.errors import UserError, one_of
from ssseg.reports.comparison.report import Report
from ssseg.reports.comparison.report import report as report_of
from ssseg.reports.comparison.terminal import show
from ssseg.runs.command import pairs
from ssseg.runs.cpus import allowed_cpus
from ssseg.runs.run import STUDY

LAUNCHERS = ("local", "ray")


class Work(NamedTuple):
    """How the runs are carried out."""

    jobs: int | None = None
    """Runs at the same time; None: one, or one per GPU."""
    launcher: str = "local"
    """One of `LAUNCHERS`."""
    address: str | None = None
    """Address of a Ray cluster."""
    retries: int = 1
    """How many times a run is restarted after its process died."""

    def check(self) -> None:
        """Raise `UserError` for values that are out of range."""
        if self.launcher not in LAUNCHERS:
            raise one_of("launcher", self.launcher, list(LAUNCHERS))
        if self.jobs is not None and self.jobs < 1:
            raise UserError(f"option jobs is {self.jobs}; expected at least 1")
        if self.retries < 0:
            raise UserError(f"option retries is {self.retries}; expected at least 0")
        if self.address is not None and self.launcher != "ray":
            raise UserError("option address needs --launcher ray; give both, or neither")

    def at_once(self, gpus: int) -> int:
        """Number of runs at the same time on a machine with this number of GPUs."""
        return self.jobs or max(1, gpus)


def default_folder(file: Path | None, smoke: bool) -> Path:
    """The default folder of a benchmark."""
    if file is None:
        return Path("runs/benchmark")
    return Path("runs") / f"{file.stem}{'-smoke' * smoke}"


def check_runs(
    runs: Sequence[Planned], work: Work, console: Console, *, measure: bool = False
) -> Forecasts:
    """Check all runs before training, see `preflight`."""
    work.check()
    here = work.launcher == "local"
    jobs = work.jobs or 1
    said = f"checking {len(runs)} planned run{'s' * (len(runs) != 1)}"
    with console.status(said + ", timing a few steps of each kind" * measure):
        return preflight(
            runs,
            measure=measure,
            at_once=jobs if here else 0,
            threads=_threads(jobs) if here else None,
        )


def _threads(jobs: int) -> int:
    return max(1, allowed_cpus() // jobs)


def launcher_of(runs: Sequence[Planned], work: Work, gpus: int) -> Launcher:
    """What starts the runs.

    Args:
        runs: All of them.
        work: How they are carried out.
        gpus: GPUs of this machine.
    """
    if work.launcher == "ray":
        from ssseg.benchmarking.ray_launcher import Ray

        return Ray(work.address, work.jobs, runs[0].folder.parent)
    jobs = work.at_once(gpus)
    flags = {flag for planned in runs for flag, _ in pairs(planned.args)}
    free = {"--trainer.devices", "--trainer.accelerator"} & flags
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    names = [name for name in visible.split(",") if name] or [str(i) for i in range(gpus)]
    # if the options of a run choose its devices, CUDA_VISIBLE_DEVICES is not set
    return Local(jobs, _threads(jobs), [] if free else names[:gpus])


def run_benchmark(
    grid: Grid, out: Path, work: Work, console: Console, looked: Forecasts | None = None
) -> Report:
    """Train the runs that are not finished, then compare and report all runs.

    Args:
        grid: The runs to compare.
        out: Folder of the benchmark.
        work: How the runs are carried out.
        console: Console for progress and tables.
        looked: The result of `check_runs`. None: the runs are checked here.

    Raises:
        RunsFailedError: If runs failed; the others are trained and reported first.
        UserError: Before any training, if a run cannot work or its folder has another run.
    """
    runs = plan(grid, out)
    looked = looked or check_runs(runs, work, console)
    carried = Runner(runs, looked.runs, launcher_of(runs, work, looked.gpus), console, work.retries)
    try:
        carried.carry_out()
    except RunsFailedError:
        if any(run_state(planned) == "finished" for planned in runs):
            write_report(grid, runs, out, console)
        raise
    return write_report(grid, runs, out, console)


def write_report(grid: Grid, runs: Sequence[Planned], out: Path, console: Console) -> Report:
    """Write the report of all finished runs, with a table and a picture per column of the grid."""
    write_study(grid, runs, out)
    report = report_of(out)
    show(report, console)
    *pictures, text = report.save_columns(out)
    page = report.save(out / "report")
    files = [*(("picture", path) for path in pictures), ("table", text), ("report", page)]
    console.print()
    for kind, path in files:
        console.print(f"{kind:8} {path}", highlight=False, soft_wrap=True)
    return report


def write_study(grid: Grid, runs: Sequence[Planned], out: Path) -> None:
    """Write beside the runs which row and column of the grid each is of."""
    plans = [
        {
            "folder": run.folder.name,
            "row": run.row,
            "column": run.column,
            "seed": run.seed,
            "published": grid.published.get(run.row, {}).get(run.column),
        }
        for run in runs
    ]
    (out / STUDY).write_text(json.dumps({"runs": plans}, indent=1) + "\n", encoding="utf-8")
