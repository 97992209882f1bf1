"""A planned_runs is carried out whatever its runs do; here they are made of a few lines."""

import pytest
from rich.console import Console

from ssseg.benchmarking import runner
from ssseg.benchmarking.preflight import Forecast
from ssseg.benchmarking.runner import Runner, RunsFailedError, commands_of, log_of
from ssseg.runs.lock import FolderLock
from tests.benchmarking.runs import finish

OUTLOOK = Forecast({}, "hash", "split", 1, None)


class Run:
    """Ends with a code after some looks."""

    def __init__(self, planned, code, looks):
        self.planned, self.code, self.looks, self.stopped = planned, code, looks, False

    def poll(self):
        self.looks -= 1
        if self.looks > 0:
            return None
        if self.code == 0:
            finish(self.planned)
        return self.code

    def stop(self):
        self.stopped = True


class Launcher:
    """Has a script: for each folder, the exit codes of its tries."""

    def __init__(self, planned_runs, script, slots=2):
        self.folders = {str(planned.folder): planned for planned in planned_runs}
        self.script, self.slots = script, slots
        self.started, self.most, self.closed, self.handles = [], 0, False, []

    def start(self, commands, log):
        folder = commands[0][commands[0].index("--out") + 1]
        planned = self.folders[folder]
        log.write_text(f"{planned.row} says no\n")
        self.started.append(planned.row)
        codes = self.script.get(planned.row, [])
        handle = Run(planned, codes.pop(0) if codes else 0, looks=2)
        self.handles = [h for h in self.handles if h.looks > 0] + [handle]
        self.most = max(self.most, len(self.handles))
        return handle

    def close(self):
        self.closed = True


def study(planned_runs, launcher, retries=1):
    return Runner(
        planned_runs, [OUTLOOK] * len(planned_runs), launcher, Console(quiet=True), retries
    )


def test_every_run_once_in_order_and_no_more_at_once_than_there_are_slots(planned_runs):
    launcher = Launcher(planned_runs, {})
    study(planned_runs, launcher).carry_out()
    assert launcher.started == ["a", "b", "c", "d"]
    assert launcher.most == 2
    assert launcher.closed


def test_what_is_finished_is_not_started(planned_runs):
    finish(planned_runs[1])
    launcher = Launcher(planned_runs, {})
    study(planned_runs, launcher).carry_out()
    assert launcher.started == ["a", "c", "d"]


def test_a_run_whose_process_died_is_taken_up_again_at_once(planned_runs):
    launcher = Launcher(planned_runs, {"a": [-9], "b": [1, 1]}, slots=1)
    with pytest.raises(RunsFailedError, match=r"1 of 4 runs failed \(b seed 0: b says no\)"):
        study(planned_runs, launcher).carry_out()
    assert launcher.started == ["a", "a", "b", "b", "c", "d"]


def test_bad_input_is_not_tried_again(planned_runs):
    launcher = Launcher(planned_runs, {"a": [2]}, slots=1)
    with pytest.raises(RunsFailedError, match="a says no"):
        study(planned_runs, launcher, retries=5).carry_out()
    assert launcher.started == ["a", "b", "c", "d"]


def test_without_retries(planned_runs):
    launcher = Launcher(planned_runs, {"a": [-9]}, slots=1)
    with pytest.raises(RunsFailedError):
        study(planned_runs, launcher, retries=0).carry_out()
    assert launcher.started == ["a", "b", "c", "d"]


def test_an_interrupted_study_stops_its_runs(planned_runs, monkeypatch):
    launcher = Launcher(planned_runs, {})

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(runner.time, "sleep", interrupt)
    with pytest.raises(KeyboardInterrupt):
        study(planned_runs, launcher).carry_out()
    assert [handle.stopped for handle in launcher.handles] == [True, True]
    assert launcher.closed


def test_a_run_that_another_process_trains_is_waited_for(planned_runs, monkeypatch):
    lock = FolderLock(planned_runs[0].folder)
    launcher = Launcher(planned_runs, {})
    looks = []

    def pause(_):
        looks.append(launcher.started.copy())
        if len(looks) == 3:  # the other process finishes it
            finish(planned_runs[0])
            lock.release()

    monkeypatch.setattr(runner.time, "sleep", pause)
    study(planned_runs, launcher).carry_out()
    assert launcher.started == ["b", "c", "d"]


def test_a_run_that_another_process_gave_up_goes_on_here(planned_runs, monkeypatch):
    lock = FolderLock(planned_runs[3].folder)
    launcher = Launcher(planned_runs, {})
    monkeypatch.setattr(runner.time, "sleep", lambda _: lock.release())
    study(planned_runs, launcher).carry_out()
    assert sorted(launcher.started) == ["a", "b", "c", "d"]


def test_what_is_left_to_do_of_a_run(planned_runs):
    plain, tested = planned_runs[0], planned_runs[0]._replace(test=True)
    folder = plain.folder
    score = ["test", "--ckpt_path", str(folder / "checkpoints" / "last.ckpt")]
    score += ["--out", str(folder / "test"), "--trainer.devices", "1"]
    assert commands_of(plain) == [plain.args]
    assert commands_of(tested) == [plain.args, score]
    finish(plain)
    assert commands_of(tested) == [score]


def test_logs_lie_beside_the_folders(planned_runs):
    assert log_of(planned_runs[0]) == planned_runs[0].folder.parent / "a.log"
