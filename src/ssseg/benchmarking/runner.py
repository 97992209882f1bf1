"""Carrying out a plan: one subprocess per run, several at once, finished ones skipped."""

import csv
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.live import Live
from rich.table import Table

from ssseg.benchmarking.grid import Planned
from ssseg.errors import UserError
from ssseg.run import Run
from ssseg.unfinished import command_of


class RunsFailedError(UserError):
    """Some runs failed; the others are finished."""


class Running(NamedTuple):
    """A run under way."""

    planned: Planned
    process: subprocess.Popen[bytes]
    log: Path


def finished(planned: Planned) -> bool:
    """Whether a run has left its summary."""
    return (planned.folder / "summary.json").is_file()


def _refuse_another(planned: Planned) -> None:
    """A finished run must be one of the same command line."""
    command = Run(planned.folder).summary["command"]
    if command != "ssseg " + shlex.join(planned.args):
        raise UserError(
            f"{planned.folder} holds a finished run of other options ({command}); "
            "give another --out, or delete it"
        )


def carry_out(plan: Sequence[Planned], jobs: int, console: Console) -> list[Planned]:
    """Train every run that is not finished yet.

    Args:
        plan: What to train.
        jobs: Runs at once; each gets its share of the CPU's cores.
        console: Where progress is shown.

    Returns:
        The finished runs, in the order of the plan.

    Raises:
        RunsFailedError: If a run failed; the others are trained first.
        UserError: Before anything trains, if a folder holds a finished run of other options.
    """
    waiting = [planned for planned in plan if not finished(planned)]
    for planned in plan:
        if planned not in waiting:
            _refuse_another(planned)
            console.print(f"{planned.name}: finished before, not trained again", highlight=False)
    threads = max(1, (os.cpu_count() or 1) // max(1, jobs))
    running: list[Running] = []
    failed: list[Running] = []
    try:
        with Live(console=console, refresh_per_second=2, transient=True) as live:
            while waiting or running:
                while waiting and len(running) < jobs:
                    running.append(_start(waiting.pop(0), threads))
                    live.console.print(f"{running[-1].planned.name}: started", highlight=False)
                time.sleep(0.5)
                live.update(_table(plan, running))
                for run in [r for r in running if r.process.poll() is not None]:
                    running.remove(run)
                    if run.process.returncode != 0:
                        failed.append(run)
                    live.console.print(_outcome(run), highlight=False, soft_wrap=True)
    finally:
        for run in running:
            run.process.terminate()
            run.process.wait()
    if failed:
        reasons = "; ".join(f"{run.planned.name}: {last_line(run.log)}" for run in failed)
        raise RunsFailedError(f"{len(failed)} of {len(plan)} runs failed ({reasons})")
    return list(plan)


def _start(planned: Planned, threads: int) -> Running:
    """Train one run in a process of its own, from where it was cut off or from a clean folder."""
    if command_of(planned.folder) != list(planned.args[1:]):
        shutil.rmtree(planned.folder, ignore_errors=True)
    log = planned.folder.with_name(f"{planned.folder.name}.log")
    log.parent.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "COLUMNS": "200"}
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "ssseg", *planned.args],
            stdout=file,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env=environment,
        )
    return Running(planned, process, log)


def _table(plan: Sequence[Planned], running: Sequence[Running]) -> Table:
    table = Table("run", "state", "step", "student", "teacher")
    names = [run.planned.name for run in running]
    for planned in plan:
        state = "finished" if finished(planned) else "training" if planned.name in names else ""
        row = latest(planned.folder)
        scores = [row.get(f"val/miou_{name}") for name in ("student", "teacher")]
        shown = ["" if score is None else f"{100 * score:.1f}" for score in scores]
        step = row.get("step")
        table.add_row(planned.name, state, "" if step is None else f"{step + 1:.0f}", *shown)
    return table


def latest(folder: Path) -> dict[str, float]:
    """The newest value of every column of a run's metrics.csv; empty where there is none yet."""
    values: dict[str, float] = {}
    with suppress(OSError, ValueError), (folder / "metrics.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            values.update({key: float(value) for key, value in row.items() if key and value})
    return values


def _outcome(run: Running) -> str:
    word = "finished" if run.process.returncode == 0 else "FAILED"
    scores = latest(run.planned.folder)
    shown = [
        f"{name} {100 * scores[key]:.1f}"
        for name in ("student", "teacher")
        if (key := f"val/miou_{name}") in scores
    ]
    return f"{run.planned.name}: {word}  {'  '.join(shown)}"


def last_line(log: Path) -> str:
    """What the log of a run ends with; of a run that failed, its reason."""
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1].removeprefix("ssseg: error: ") if lines else f"see {log}"
