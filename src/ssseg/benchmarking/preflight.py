"""Checks planned runs before training, in a subprocess that may import torch."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ssseg.benchmarking.grid import Planned
from ssseg.benchmarking.launchers import ends_with_this_process
from ssseg.errors import UserError
from ssseg.runs.command import without
from ssseg.runs.cpus import MOST


class Forecast(NamedTuple):
    """What is known about a run before it trains."""

    config: dict[str, Any]
    """The full configuration, with defaults."""
    config_hash: str
    split_hash: str
    parameters: int
    """Number of parameters of the student."""
    seconds: float | None
    """Estimated duration as the only run on this machine, with its start; None if not measured."""
    data: Mapping[str, Any] = {}
    """`name` of the data set, and images in it: `val`, and `unlabeled` (None: not used)."""
    between: tuple[float, float] | None = None
    """The shortest and the longest duration, as far as steps scatter; None if not measured."""
    memory: int | None = None
    """Bytes of a step or a validation, whichever has more; None if unknown."""


class Impossible(NamedTuple):
    """A run that cannot work, and the reason."""

    planned: Planned
    reason: str


class ImpossibleRunsError(UserError):
    """Some of the planned runs cannot work.

    Args:
        bad: One of each kind.
        kinds: How many kinds there are.
    """

    def __init__(self, bad: Sequence[Impossible], kinds: int) -> None:
        said = "; ".join(f"{one.planned.cell}: {one.reason}" for one in bad)
        super().__init__(f"{len(bad)} of {kinds} kinds of runs cannot work ({said})")
        self.reasons = [one.reason for one in bad]
        self.common = self.reasons[0] if len(set(self.reasons)) == 1 and len(bad) == kinds else None
        """The reason, if it is one and the same for all runs."""


class Forecasts(NamedTuple):
    """The forecasts of all planned runs."""

    gpus: int
    """Number of GPUs of this machine."""
    runs: list[Forecast]
    """In the order of the plan."""


def preflight(
    plan: Sequence[Planned], *, measure: bool = False, at_once: int = 1, threads: int | None = None
) -> Forecasts:
    """Check every run before training.

    Runs that differ in the seed only are checked once.

    Args:
        plan: The runs.
        measure: Time a few steps of each run on this machine.
        at_once: Number of runs that share the memory of this machine; 0: they run on other ones.
        threads: CPU threads of each run; None: all.

    Raises:
        UserError: If runs cannot work, with the reason for each of them.
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
        raise ImpossibleRunsError(bad, len(cells))
    runs = []
    for planned in plan:
        answer = found[_cell(planned)]
        known = Forecast(**{name: answer[name] for name in Forecast._fields})
        if known.seconds is not None:  # the start of a run takes as long as that of the subprocess
            start = answers[0]["ready"] - asked
            low, high = known.between or (known.seconds, known.seconds)
            known = known._replace(
                seconds=known.seconds + start, between=(low + start, high + start)
            )
        runs.append(known)
    return Forecasts(gpus, runs)


def without_seed(args: Sequence[str]) -> list[str]:
    """The arguments of a run without seed and folder."""
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
            environment[MOST] = str(threads)
        done = subprocess.run(
            [sys.executable, "-m", "ssseg.cli.look_ahead", str(os.getpid())],
            input=json.dumps(request),
            text=True,
            capture_output=True,
            env=environment,
            preexec_fn=ends_with_this_process(),
            check=False,
        )
        if done.returncode != 0:
            lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
            raise UserError(f"the check of the runs before training failed: {lines[-1]}")
        return [json.loads(line) for line in answers.read_text(encoding="utf-8").splitlines()]
