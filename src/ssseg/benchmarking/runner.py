"""Trains planned runs, several at the same time; skips finished runs, resumes unfinished ones."""

import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.live import Live

from ssseg.benchmarking.grid import Planned
from ssseg.benchmarking.launchers import Commands, Handle, Launcher
from ssseg.benchmarking.preflight import Forecast
from ssseg.benchmarking.progress_table import progress_table
from ssseg.benchmarking.run_state import check_run_state, run_state
from ssseg.errors import UserError
from ssseg.runs.lock import is_held
from ssseg.runs.run import TESTED, Run, last_line

BAD_INPUT = 2
"""Exit code of a run with wrong options, which would fail again."""
PAUSE = 0.5
"""Seconds between two checks of the runs."""


class RunsFailedError(UserError):
    """Some runs failed; the others are finished."""


class Running(NamedTuple):
    """A run that is training."""

    planned: Planned
    handle: Handle


def log_of(planned: Planned) -> Path:
    """The log file of a run, beside its folder."""
    return planned.folder.with_name(f"{planned.folder.name}.log")


def commands_of(planned: Planned) -> Commands:
    """The command lines that a run still needs: training, test, or both."""
    folder = planned.folder
    test = ["test", "--ckpt_path", str(folder / "checkpoints" / "last.ckpt")]
    # the scores do not depend on the number of devices, and one is enough
    test += ["--out", str(folder / TESTED.parent), "--trainer.devices", "1"]
    left = [] if run_state(planned) == "trained" else [planned.args]
    return [*left, *[test] * planned.test]


class Runner:
    """Carries out planned runs.

    Args:
        plan: The runs.
        forecasts: The result of `preflight` for each run, in the same order.
        launcher: Starts the processes.
        console: Console for progress.
        retries: How many times a run is restarted after its process died.

    Raises:
        UserError: If the folder of a run has another run.
    """

    def __init__(
        self,
        plan: Sequence[Planned],
        forecasts: Sequence[Forecast],
        launcher: Launcher,
        console: Console,
        retries: int = 1,
    ) -> None:
        self.plan, self.launcher, self.console = plan, launcher, console
        self.states: dict[Path, str] = {}
        for planned, forecast in zip(plan, forecasts, strict=True):
            found = check_run_state(planned, forecast)
            self.states[planned.folder] = "finished" if found == "finished" else "waiting"
        self.waiting = [planned for planned in plan if self._is(planned, "waiting")]
        self.elsewhere: list[Planned] = []
        self.running: list[Running] = []
        self.failed: list[Planned] = []
        self.tries = {planned.folder: 1 + retries for planned in plan}

    def _is(self, planned: Planned, state: str) -> bool:
        return self.states[planned.folder] == state

    def _set(self, planned: Planned, state: str, said: str = "") -> None:
        self.states[planned.folder] = state
        if said:
            line = f"{planned.name}: {said}"
            self.console.print(line, highlight=False, soft_wrap=True)

    def carry_out(self) -> None:
        """Train every run that is not finished.

        Raises:
            RunsFailedError: If a run failed; the others are trained first.
        """
        for planned in self.plan:
            if self._is(planned, "finished"):
                self._set(planned, "finished", "already finished")
        try:
            with Live(console=self.console, refresh_per_second=2, transient=True) as live:
                while self.waiting or self.running or self.elsewhere:
                    self._start()
                    live.update(progress_table(self.plan, self.states, self.launcher.slots))
                    time.sleep(PAUSE)
                    self._collect()
        finally:
            for running in self.running:
                running.handle.stop()
            self.launcher.close()
        if self.failed:
            reasons = "; ".join(f"{p.name}: {last_line(log_of(p))}" for p in self.failed)
            raise RunsFailedError(f"{len(self.failed)} of {len(self.plan)} runs failed ({reasons})")

    def _start(self) -> None:
        while self.waiting and len(self.running) < self.launcher.slots:
            planned = self.waiting.pop(0)
            if is_held(planned.folder):
                self.elsewhere.append(planned)
                self._set(planned, "elsewhere", "another process trains it; waiting")
                continue
            resumes = run_state(planned) != "new"
            _clear(planned)
            handle = self.launcher.start(commands_of(planned), log_of(planned))
            self.running.append(Running(planned, handle))
            self._set(planned, "training", "resumed" if resumes else "started")

    def _collect(self) -> None:
        for running in list(self.running):
            code = running.handle.poll()
            if code is not None:
                self.running.remove(running)
                self._over(running.planned, code)
        for planned in list(self.elsewhere):
            if not is_held(planned.folder):
                self.elsewhere.remove(planned)
                if run_state(planned) == "finished":
                    self._set(planned, "finished", f"finished  {_scores(planned)}")
                else:
                    self.waiting.append(planned)
                    self._set(planned, "waiting")

    def _over(self, planned: Planned, code: int) -> None:
        self.tries[planned.folder] -= 1
        if code == 0:
            self._set(planned, "finished", f"finished  {_scores(planned)}")
        elif code != BAD_INPUT and self.tries[planned.folder]:
            self.waiting.insert(0, planned)
            self._set(planned, "waiting", f"the process died (exit code {code}); trying again")
        else:
            self.failed.append(planned)
            self._set(planned, "failed", f"FAILED  {last_line(log_of(planned))}")


def _clear(planned: Planned) -> None:
    """Delete the results of an interrupted test."""
    if not (planned.folder / TESTED).is_file():
        shutil.rmtree(planned.folder / TESTED.parent, ignore_errors=True)


def _scores(planned: Planned) -> str:
    last = Run(planned.folder).summary["last"]
    return "  ".join(f"{name} {100 * scores['miou']:.1f}" for name, scores in last.items())
