"""Launchers start the command lines of runs and return their exit codes."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from ssseg.runs.cpus import MOST

Commands = Sequence[Sequence[str]]
"""Arguments of `ssseg`; a command starts after the one before has succeeded."""


class Handle(Protocol):
    """A started run."""

    def poll(self) -> int | None:
        """The exit code; None while the run goes on, negative if a signal ended it."""

    def stop(self) -> None:
        """Let the run save a checkpoint and end, and wait for its end."""


class Launcher(Protocol):
    """Starts runs."""

    slots: int
    """Number of runs at the same time."""

    def start(self, commands: Commands, log: Path) -> Handle:
        """Start command lines; their output is appended to the file `log`."""

    def close(self) -> None:
        """Release resources."""


class Local:
    """Processes on this machine, each with a share of the cores and, if there are some, a GPU.

    Args:
        slots: Number of runs at the same time.
        threads: CPU threads of each run at most, where a person has not chosen them.
        gpus: Ids of the GPUs that runs are spread over; empty: CUDA_VISIBLE_DEVICES is not set.
    """

    def __init__(self, slots: int, threads: int, gpus: Sequence[str] = ()) -> None:
        self.slots, self.threads, self.gpus = slots, threads, gpus
        self._places = list(range(slots))

    def start(self, commands: Commands, log: Path) -> "LocalRun":
        """Start a process; the log of a resumed run is continued."""
        self._places.sort()
        place = self._places.pop(0)
        environment = {**os.environ, MOST: str(self.threads), "COLUMNS": "200"}
        if self.gpus:
            environment["CUDA_VISIBLE_DEVICES"] = self.gpus[place % len(self.gpus)]
        return LocalRun(commands, log, environment, self._places, place)

    def close(self) -> None:
        """There is nothing to release."""


class LocalRun:
    """Processes that run one after another in one slot."""

    def __init__(
        self,
        commands: Commands,
        log: Path,
        environment: Mapping[str, str],
        places: list[int],
        place: int,
    ) -> None:
        self._left, self._log, self._environment = list(commands), log, environment
        self._places, self._place = places, place
        self._process = self._next()

    def _next(self) -> subprocess.Popen[bytes]:
        return start_process(self._left.pop(0), self._log, self._environment)

    def poll(self) -> int | None:
        """The exit code of the first process that failed, or of the last one."""
        code = self._process.poll()
        if code == 0 and self._left:
            self._process = self._next()
            return None
        if code is not None and self._place not in self._places:
            self._places.append(self._place)
        return code

    def stop(self) -> None:
        """Send SIGTERM, after which a run saves a checkpoint and ends."""
        self._left.clear()
        self._process.terminate()
        self._process.wait()


def start_process(
    command: Sequence[str], log: Path, environment: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    """Start `ssseg` with these arguments in a process that ends when this process ends."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as file:
        return subprocess.Popen(
            [sys.executable, "-m", "ssseg", *command],
            stdout=file,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env=dict(environment),
            preexec_fn=ends_with_this_process(),
        )


def ends_with_this_process() -> Callable[[], None] | None:
    """A function for a new process, so that it gets a SIGTERM when this process ends.

    None on other systems than Linux, where this is not possible.
    """
    if sys.platform != "linux":
        return None
    import ctypes

    control, parent = ctypes.CDLL(None).prctl, os.getpid()
    set_death_signal = 1

    def ask() -> None:
        control(set_death_signal, signal.SIGTERM)
        if os.getppid() != parent:  # the parent ended before prctl was called
            os.kill(os.getpid(), signal.SIGTERM)

    return ask
