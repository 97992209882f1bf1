"""A plan is carried out whatever its runs do; here they are made of a few lines."""

import json

import pytest
from rich.console import Console

from ssseg.benchmarking import runner
from ssseg.benchmarking.grid import Planned
from ssseg.benchmarking.preflight import Forecast
from ssseg.benchmarking.progress_table import duration, progress_table, shown, time_left
from ssseg.benchmarking.runner import Runner, RunsFailedError, commands_of, log_of
from ssseg.runs.lock import FolderLock

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

    def __init__(self, plan, script, slots=2):
        self.folders = {str(planned.folder): planned for planned in plan}
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


def finish(planned):
    planned.folder.mkdir(exist_ok=True)
    summary = {"last": {"student": {"miou": 0.5}}, "steps": 8, "seconds": 60.0}
    (planned.folder / "summary.json").write_text(json.dumps(summary))


@pytest.fixture
def plan(tmp_path, monkeypatch):
    monkeypatch.setattr(runner, "PAUSE", 0)
    monkeypatch.setattr(runner, "check_run_state", lambda planned, _: runner.run_state(planned))
    return [
        Planned(row, "", 0, tmp_path / row, ["fit", "--out", str(tmp_path / row)])
        for row in ("a", "b", "c", "d")
    ]


def study(plan, launcher, retries=1):
    return Runner(plan, [OUTLOOK] * len(plan), launcher, Console(quiet=True), retries)


def test_every_run_once_in_order_and_no_more_at_once_than_there_are_slots(plan):
    launcher = Launcher(plan, {})
    study(plan, launcher).carry_out()
    assert launcher.started == ["a", "b", "c", "d"]
    assert launcher.most == 2
    assert launcher.closed


def test_what_is_finished_is_not_started(plan):
    finish(plan[1])
    launcher = Launcher(plan, {})
    study(plan, launcher).carry_out()
    assert launcher.started == ["a", "c", "d"]


def test_a_run_whose_process_died_is_taken_up_again_at_once(plan):
    launcher = Launcher(plan, {"a": [-9], "b": [1, 1]}, slots=1)
    with pytest.raises(RunsFailedError, match=r"1 of 4 runs failed \(b seed 0: b says no\)"):
        study(plan, launcher).carry_out()
    assert launcher.started == ["a", "a", "b", "b", "c", "d"]


def test_bad_input_is_not_tried_again(plan):
    launcher = Launcher(plan, {"a": [2]}, slots=1)
    with pytest.raises(RunsFailedError, match="a says no"):
        study(plan, launcher, retries=5).carry_out()
    assert launcher.started == ["a", "b", "c", "d"]


def test_without_retries(plan):
    launcher = Launcher(plan, {"a": [-9]}, slots=1)
    with pytest.raises(RunsFailedError):
        study(plan, launcher, retries=0).carry_out()
    assert launcher.started == ["a", "b", "c", "d"]


def test_an_interrupted_study_stops_its_runs(plan, monkeypatch):
    launcher = Launcher(plan, {})

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(runner.time, "sleep", interrupt)
    with pytest.raises(KeyboardInterrupt):
        study(plan, launcher).carry_out()
    assert [handle.stopped for handle in launcher.handles] == [True, True]
    assert launcher.closed


def test_a_run_that_another_process_trains_is_waited_for(plan, monkeypatch):
    lock = FolderLock(plan[0].folder)
    launcher = Launcher(plan, {})
    looks = []

    def pause(_):
        looks.append(launcher.started.copy())
        if len(looks) == 3:  # the other process finishes it
            finish(plan[0])
            lock.release()

    monkeypatch.setattr(runner.time, "sleep", pause)
    study(plan, launcher).carry_out()
    assert launcher.started == ["b", "c", "d"]


def test_a_run_that_another_process_gave_up_goes_on_here(plan, monkeypatch):
    lock = FolderLock(plan[3].folder)
    launcher = Launcher(plan, {})
    monkeypatch.setattr(runner.time, "sleep", lambda _: lock.release())
    study(plan, launcher).carry_out()
    assert sorted(launcher.started) == ["a", "b", "c", "d"]


def test_what_is_left_to_do_of_a_run(plan):
    plain, tested = plan[0], plan[0]._replace(test=True)
    folder = plain.folder
    score = ["test", "--ckpt_path", str(folder / "checkpoints" / "last.ckpt")]
    score += ["--out", str(folder / "test"), "--trainer.devices", "1"]
    assert commands_of(plain) == [plain.args]
    assert commands_of(tested) == [plain.args, score]
    finish(plain)
    assert commands_of(tested) == [score]


class TestTable:
    """What a person sees meanwhile."""

    def states(self, plan, *states):
        return dict(zip([planned.folder for planned in plan], states, strict=True))

    def progress(self, planned, step, left):
        news = {"step": step, "steps": 100, "images_per_second": 7.6, "seconds_left": left}
        planned.folder.mkdir()
        text = json.dumps({**news, "miou": {"student": 0.4567}})
        (planned.folder / "progress.json").write_text(text)

    def test_every_run_has_a_line(self, plan):
        finish(plan[0])
        self.progress(plan[1], 25, 90.0)
        table = progress_table(
            plan, self.states(plan, "finished", "training", "waiting", "failed"), 1
        )
        lines = list(zip(*[column.cells for column in table.columns], strict=True))
        assert [[str(cell) for cell in line] for line in lines] == [
            ["a seed 0", "finished", "8", "50.0", "", "", ""],
            ["b seed 0", "training", "25/100", "45.7", "", "8", "2 min"],
            ["c seed 0", "waiting", "", "", "", "", ""],
            ["d seed 0", "failed", "", "", "", "", ""],
        ]
        assert "1 of 4 runs finished" in str(table.title)

    def test_time_left_is_that_of_what_trains_and_a_whole_run_for_each_that_waits(self, plan):
        self.progress(plan[0], 75, 30.0)  # 120 s in all
        states = self.states(plan, "training", "waiting", "waiting", "failed")
        assert time_left(plan, states, 1) == pytest.approx(30 + 2 * 120)
        assert time_left(plan, states, 2) == pytest.approx((30 + 2 * 120) / 2)

    def test_nobody_knows_before_the_first_step(self, plan):
        assert time_left(plan, self.states(plan, *["waiting"] * 4), 1) is None

    def test_a_long_plan_shows_what_is_going_on(self, tmp_path):
        plan = [Planned(str(i), "", 0, tmp_path / str(i), []) for i in range(100)]
        states = {p.folder: "finished" if i < 90 else "waiting" for i, p in enumerate(plan)}
        states[plan[90].folder] = "training"
        seen = shown(plan, states)
        assert plan[90] in seen
        assert len(seen) == 24
        assert [int(p.row) for p in seen] == sorted(int(p.row) for p in seen)

    @pytest.mark.parametrize(
        ("seconds", "said"),
        [(0.4, "0 s"), (89, "89 s"), (90, "2 min"), (5350, "89 min"), (5400, "1 h 30 min")],
    )
    def test_durations(self, seconds, said):
        assert duration(seconds) == said


def test_logs_lie_beside_the_folders(plan):
    assert log_of(plan[0]) == plan[0].folder.parent / "a.log"
