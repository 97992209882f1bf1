"""A study from its grid to its report."""

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
from ssseg.runs.run import STUDY

LAUNCHERS = ("local", "ray")


class Work(NamedTuple):
    """How a plan is carried out.

    Raises:
        UserError: From `check`, for values that are out of range.
    """

    jobs: int | None = None
    """Runs at once; None: one, or one per GPU."""
    launcher: str = "local"
    address: str | None = None
    """Of a Ray cluster."""
    retries: int = 1
    """How often a run whose process died is taken up again."""

    def check(self) -> None:
        """Refuse what cannot be."""
        if self.launcher not in LAUNCHERS:
            raise one_of("launcher", self.launcher, list(LAUNCHERS))
        if self.jobs is not None and self.jobs < 1:
            raise UserError(f"option jobs is {self.jobs}; expected at least 1")
        if self.retries < 0:
            raise UserError(f"option retries is {self.retries}; expected at least 0")
        if self.address is not None and self.launcher != "ray":
            raise UserError("option address is of --launcher ray; give that as well")

    def at_once(self, gpus: int) -> int:
        """Runs at once on a machine with so many GPUs."""
        return self.jobs or max(1, gpus)


def default_folder(file: Path | None, smoke: bool) -> Path:
    """Where a study is kept unless somebody says so."""
    if file is None:
        return Path("runs/benchmark")
    return Path("runs") / f"{file.stem}{'-smoke' * smoke}"


def check_runs(
    study: Sequence[Planned], work: Work, console: Console, *, measure: bool = False
) -> Forecasts:
    """Look at all runs before any of them trains; see `preflight`."""
    work.check()
    here = work.launcher == "local"
    jobs = work.jobs or 1
    said = f"looking at {len(study)} planned run{'s' * (len(study) != 1)}"
    with console.status(said + ", timing a few steps of each kind" * measure):
        return preflight(
            study,
            measure=measure,
            at_once=jobs if here else 0,
            threads=_threads(jobs) if here else None,
        )


def _threads(jobs: int) -> int:
    return max(1, (os.cpu_count() or 1) // jobs)


def _launcher(study: Sequence[Planned], work: Work, gpus: int) -> Launcher:
    if work.launcher == "ray":
        from ssseg.benchmarking.ray_launcher import Ray

        return Ray(work.address, work.jobs, study[0].folder.parent)
    jobs = work.at_once(gpus)
    flags = {flag for planned in study for flag, _ in pairs(planned.args)}
    free = {"--trainer.devices", "--trainer.accelerator"} & flags
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    names = [name for name in visible.split(",") if name] or [str(i) for i in range(gpus)]
    # a run that says itself where it trains is not told otherwise
    return Local(jobs, _threads(jobs), [] if free else names[:gpus])


def run_benchmark(grid: Grid, out: Path, work: Work, console: Console) -> Report:
    """Train what is not finished yet, then compare and report.

    Args:
        grid: What is compared.
        out: Folder of the study.
        work: How it is carried out.
        console: Where progress and tables are shown.

    Raises:
        RunsFailedError: If runs failed; the others are trained and reported first.
        UserError: Before anything trains, if a run cannot work or a folder holds another one.
    """
    study = plan(grid, out)
    looked = check_runs(study, work, console)
    carried = Runner(study, looked.runs, _launcher(study, work, looked.gpus), console, work.retries)
    try:
        carried.carry_out()
    except RunsFailedError:
        if any(run_state(planned) == "finished" for planned in study):
            write_report(grid, study, out, console)
        raise
    return write_report(grid, study, out, console)


def write_report(grid: Grid, study: Sequence[Planned], out: Path, console: Console) -> Report:
    """The report of what is finished: for each column of the grid too."""
    runs = [
        {
            "folder": run.folder.name,
            "row": run.row,
            "column": run.column,
            "seed": run.seed,
            "published": grid.published.get(run.row, {}).get(run.column),
        }
        for run in study
    ]
    (out / STUDY).write_text(json.dumps({"runs": runs}, indent=1) + "\n", encoding="utf-8")
    report = report_of(out)
    show(report, console)
    *pictures, text = report.save_columns(out)
    page = report.save(out / "report")
    files = [*(("picture", path) for path in pictures), ("table", text), ("report", page)]
    console.print()
    for kind, path in files:
        console.print(f"{kind:8} {path}", highlight=False, soft_wrap=True)
    return report
