"""What the planned runs will be like, asked of a process that may import torch."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ssseg.benchmarking.grid import Planned
from ssseg.benchmarking.launchers import ends_with_this_process
from ssseg.errors import UserError
from ssseg.runs.command import without


class Forecast(NamedTuple):
    """Of one run."""

    config: dict[str, Any]
    """Everything that decides it, the defaults included."""
    config_hash: str
    split_hash: str
    parameters: int
    seconds: float | None
    """That it will take on this machine, alone, with its start; None unless it was measured."""


class Impossible(NamedTuple):
    """A run that cannot work, and why."""

    planned: Planned
    reason: str


class Forecasts(NamedTuple):
    """Of a plan, in its order."""

    gpus: int
    """Of this machine."""
    runs: list[Forecast]


def preflight(
    plan: Sequence[Planned], *, measure: bool = False, at_once: int = 1, threads: int | None = None
) -> Forecasts:
    """Look at every run before any of them trains.

    Runs that differ in their seed alone are looked at once.

    Args:
        plan: The runs.
        measure: Time a few steps of each on this machine.
        at_once: Runs that will share this machine's memory; 0: they run elsewhere.
        threads: Of the CPU that each of them will have; None: all.

    Raises:
        UserError: With every run that cannot work, and why.
    """
    cells = {_cell(planned): planned for planned in reversed(plan)}
    asked = time.time()
    answers = _ask([without_seed(p.args) for p in cells.values()], measure, at_once, threads)
    gpus = int(answers[0]["gpus"])
    found = dict(zip(cells, answers[1:], strict=True))
    bad = [
        Impossible(planned, answer["error"])
        for planned in plan
        if "error" in (answer := found[_cell(planned)]) and cells[_cell(planned)] is planned
    ]
    if bad:
        said = "; ".join(f"{one.planned.cell}: {one.reason}" for one in bad)
        raise UserError(f"{len(bad)} of {len(cells)} kinds of runs cannot work ({said})")
    runs = []
    for planned in plan:
        answer = found[_cell(planned)]
        known = Forecast(**{name: answer[name] for name in Forecast._fields})
        if known.seconds is not None:  # the process that was asked has started like a run
            known = known._replace(seconds=known.seconds + answers[0]["ready"] - asked)
        runs.append(known)
    return Forecasts(gpus, runs)


def without_seed(args: Sequence[str]) -> list[str]:
    """What a run has in common with those of other seeds."""
    return [args[0], *without(without(args[1:], "--out"), "--seed_everything")]


def _cell(planned: Planned) -> tuple[str, ...]:
    return tuple(without_seed(planned.args))


def _ask(
    runs: Sequence[Sequence[str]], measure: bool, at_once: int, threads: int | None
) -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as folder:
        answers = Path(folder) / "answers"
        request = {"runs": runs, "measure": measure, "at_once": at_once, "answers": str(answers)}
        environment = dict(os.environ)
        if threads is not None:
            environment["OMP_NUM_THREADS"] = str(threads)
        done = subprocess.run(
            [sys.executable, "-m", "ssseg.cli.preflight"],
            input=json.dumps(request),
            text=True,
            capture_output=True,
            env=environment,
            preexec_fn=ends_with_this_process(),
            check=False,
        )
        if done.returncode != 0:
            lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
            raise UserError(f"the runs could not be looked at before they train: {lines[-1]}")
        return [json.loads(line) for line in answers.read_text(encoding="utf-8").splitlines()]
