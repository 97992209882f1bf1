import json

import pytest

from ssseg.benchmarking.grid import Planned
from ssseg.benchmarking.progress_table import duration, durations, progress_table, shown, time_left
from tests.benchmarking.runs import finish


class TestTable:
    """What a person sees meanwhile."""

    def states(self, planned_runs, *states):
        return dict(zip([planned.folder for planned in planned_runs], states, strict=True))

    def progress(self, planned, step, left):
        news = {"step": step, "steps": 100, "images_per_second": 7.6, "seconds_left": left}
        planned.folder.mkdir()
        text = json.dumps({**news, "miou": {"student": 0.4567}})
        (planned.folder / "progress.json").write_text(text)

    def test_every_run_has_a_line(self, planned_runs):
        finish(planned_runs[0])
        self.progress(planned_runs[1], 25, 90.0)
        table = progress_table(
            planned_runs, self.states(planned_runs, "finished", "training", "waiting", "failed"), 1
        )
        lines = list(zip(*[column.cells for column in table.columns], strict=True))
        assert [[str(cell) for cell in line] for line in lines] == [
            ["a seed 0", "finished", "8", "50.0", "", "", ""],
            ["b seed 0", "training", "25/100", "45.7", "", "8", "2 min"],
            ["c seed 0", "waiting", "", "", "", "", ""],
            ["d seed 0", "failed", "", "", "", "", ""],
        ]
        assert "1 of 4 runs finished" in str(table.title)

    def test_time_left_is_that_of_what_trains_and_a_whole_run_for_each_that_waits(
        self, planned_runs
    ):
        self.progress(planned_runs[0], 75, 30.0)  # 120 s in all
        states = self.states(planned_runs, "training", "waiting", "waiting", "failed")
        assert time_left(planned_runs, states, 1) == pytest.approx(30 + 2 * 120)
        assert time_left(planned_runs, states, 2) == pytest.approx((30 + 2 * 120) / 2)

    def test_nobody_knows_before_the_first_step(self, planned_runs):
        assert time_left(planned_runs, self.states(planned_runs, *["waiting"] * 4), 1) is None

    def test_a_long_plan_shows_what_is_going_on(self, tmp_path):
        planned_runs = [Planned(str(i), "", 0, tmp_path / str(i), []) for i in range(100)]
        states = {p.folder: "finished" if i < 90 else "waiting" for i, p in enumerate(planned_runs)}
        states[planned_runs[90].folder] = "training"
        seen = shown(planned_runs, states)
        assert planned_runs[90] in seen
        assert len(seen) == 24
        assert [int(p.row) for p in seen] == sorted(int(p.row) for p in seen)

    @pytest.mark.parametrize(
        ("seconds", "said"),
        [(0.4, "0 s"), (89, "89 s"), (90, "2 min"), (5350, "89 min"), (5400, "1 h 30 min")],
    )
    def test_durations(self, seconds, said):
        assert duration(seconds) == said

    @pytest.mark.parametrize(
        ("low", "high", "said"),
        [
            (240, 420, "4 to 7 min"),
            (240, 250, "4 min"),
            (57, 62, "60 s"),
            (40, 80, "40 to 80 s"),
            (45, 180, "45 s to 3 min"),
            (5400, 9000, "1 h 30 min to 2 h 30 min"),
            (0, 0, "0 s"),
        ],
    )
    def test_a_range_is_said_where_durations_differ(self, low, high, said):
        assert durations(low, high) == said
