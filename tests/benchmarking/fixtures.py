import io
import json
import subprocess
from contextlib import redirect_stderr, redirect_stdout
from types import SimpleNamespace

import pytest

from ssseg.benchmarking import launchers as launch
from ssseg.benchmarking import preflight as forecast
from ssseg.benchmarking import runner
from ssseg.benchmarking.grid import Planned
from ssseg.cli import preflight as rehearsal
from ssseg.cli.main import main


class InThisProcess:
    """Stands for a subprocess where starting many of them would take the time of the suite."""

    def __init__(self, command, stdout, **options):
        said = io.StringIO()
        with redirect_stdout(said), redirect_stderr(said):
            self.returncode = main(command[3:])
        stdout.write(said.getvalue().encode())

    def poll(self):
        return self.returncode

    def terminate(self):
        pass

    def wait(self):
        return self.returncode


def ask_here(runs, measure, at_once, threads):
    """What the process that looks ahead answers, with the detour through JSON."""
    request = {"runs": runs, "measure": measure, "at_once": at_once}
    answers = [{"gpus": 0, "ready": 0.0}, *rehearsal.forecasts(json.loads(json.dumps(request)))]
    return json.loads(json.dumps(answers))


@pytest.fixture
def preflight_here(monkeypatch):
    """Runs are looked at in this process; they train in their own."""
    monkeypatch.setattr(forecast, "_ask", ask_here)
    monkeypatch.setattr(forecast.time, "time", lambda: 0.0)


@pytest.fixture
def in_this_process(monkeypatch, preflight_here):
    here = SimpleNamespace(**{**vars(subprocess), "Popen": InThisProcess})
    monkeypatch.setattr(launch, "subprocess", here)


@pytest.fixture
def planned_runs(tmp_path, monkeypatch):
    monkeypatch.setattr(runner, "PAUSE", 0)
    monkeypatch.setattr(runner, "check_run_state", lambda planned, _: runner.run_state(planned))
    return [
        Planned(row, "", 0, tmp_path / row, ["fit", "--out", str(tmp_path / row)])
        for row in ("a", "b", "c", "d")
    ]
