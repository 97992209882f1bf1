"""Where runs train: a launcher starts their command lines and says when they are over."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

Commands = Sequence[Sequence[str]]
"""Command lines of `ssseg`, without its name; each begins when the one before has succeeded."""


class Handle(Protocol):
    """A run under way."""

    def poll(self) -> int | None:
        """Its exit code; None while it goes on. Negative for a signal that ended it."""

    def stop(self) -> None:
        """Ask it to save and to end, and wait until it has."""


class Launcher(Protocol):
    """Starts runs."""

    slots: int
    """Runs at once."""

    def start(self, commands: Commands, log: Path) -> Handle:
        """Carry out command lines, with what they print in a file."""

    def close(self) -> None:
        """Let go of what it holds."""


class Local:
    """Processes on this machine, each with its share of the cores, or with a GPU of its own.

    Args:
        slots: Runs at once.
        threads: Of the CPU for each.
        gpus: That runs are spread over; none if a run is to choose for itself.
    """

    def __init__(self, slots: int, threads: int, gpus: Sequence[str] = ()) -> None:
        self.slots, self.threads, self.gpus = slots, threads, gpus
        self._places = list(range(slots))

    def start(self, commands: Commands, log: Path) -> "LocalRun":
        """Start a process; what was printed before stays in the log of a run that goes on."""
        self._places.sort()
        place = self._places.pop(0)
        environment = {**os.environ, "OMP_NUM_THREADS": str(self.threads), "COLUMNS": "200"}
        if self.gpus:
            environment["CUDA_VISIBLE_DEVICES"] = self.gpus[place % len(self.gpus)]
        return LocalRun(commands, log, environment, self._places, place)

    def close(self) -> None:
        """Nothing is held."""


class LocalRun:
    """Processes one after another; the place is given back at the end."""

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
        """The exit code, of the first process that failed or of the last one."""
        code = self._process.poll()
        if code == 0 and self._left:
            self._process = self._next()
            return None
        if code is not None and self._place not in self._places:
            self._places.append(self._place)
        return code

    def stop(self) -> None:
        """SIGTERM: a run saves where it stands."""
        self._left.clear()
        self._process.terminate()
        self._process.wait()


def start_process(
    command: Sequence[str], log: Path, environment: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    """`ssseg` with these words, in a process that does not outlive this one."""
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
    """What a new process does first, so that it gets a SIGTERM when this one is gone, however.

    None where the system is not Linux; others leave children alone.
    """
    if sys.platform != "linux":
        return None
    import ctypes

    control, parent = ctypes.CDLL(None).prctl, os.getpid()
    set_death_signal = 1

    def ask() -> None:
        control(set_death_signal, signal.SIGTERM)
        if os.getppid() != parent:  # it was gone before it could be asked for
            os.kill(os.getpid(), signal.SIGTERM)

    return ask
