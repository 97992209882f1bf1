"""What the tables of a report hold."""

from statistics import mean, stdev

import pytest
from scipy.stats import ttest_rel

from ssseg.reports.comparison import contents
from tests.benchmarking.folders import TEACHERS, study, write, write_test
from tests.reports.comparison.reports import report, rows


def test_time_memory_and_images_per_second(tmp_path):
    made = report(study(tmp_path))
    table = contents.costs(made.tables[0])
    found = {row[0].text: [cell.text for cell in row[1:5]] for row in table.rows}
    # 800 steps of 8, and of 8 + 8 where unlabeled images are seen, in 100 s
    assert found["supervised"] == ["100 ± 0", "64.0 ± 0.0", "5.0 ± 0.0 %", "2.0 ± 0.0 GB"]
    assert found["classmix"][1] == "128.0 ± 0.0"


def test_images_per_second_count_the_batches_of_a_step(tmp_path):
    """800 steps of four batches of 8, four times as often seen as without, in 100 s."""
    changes = {"exposures__labeled": 1600.0, "training__accumulate_grad_batches": 4}
    write(tmp_path / "a", "supervised", 0.4, **changes)
    table = contents.costs(report(tmp_path).tables[0])
    assert table.rows[0][2].text == "256.0"


def test_classes_are_of_the_last_step_of_the_network_that_predicts(tmp_path):
    made = report(study(tmp_path))
    table = contents.classes(made.tables[0])
    assert table.head == ["class", "supervised", "classmix"]
    road = next(row for row in table.rows if row[0].text == "road")
    ours = [100 * (v + 0.1) for v in TEACHERS["classmix"]]
    assert road[2].text == f"{mean(ours):.1f} ± {stdev(ours):.1f}"
    assert [row[0].text for row in table.rows] == ["road", "car & <van>"]


class TestTestImages:
    """A table of their own, with gains of their own."""

    @pytest.fixture
    def tested(self, tmp_path):
        for seed in range(3):
            for method, student, teacher in (
                ("supervised", 0.30 + 0.01 * seed, None),
                ("classmix", 0.33, 0.36 + 0.02 * seed),
            ):
                write(tmp_path / f"{method}-{seed}", method, 0.5, teacher and 0.5, seed)
                write_test(tmp_path / f"{method}-{seed}", student, teacher)
        return tmp_path

    def test_means_gains_and_test_of_the_scores_on_test_images(self, tested):
        made = report(tested)
        table = contents.tested(made.tables[0])
        ours, base = [36.0, 38.0, 40.0], [30.0, 31.0, 32.0]
        assert [[cell.text for cell in row] for row in table.rows] == [
            ["supervised", "3", "31.0 ± 1.0", "-", "-", "-"],
            [
                "classmix",
                "3",
                "33.0 ± 0.0",
                "38.0 ± 2.0",
                "+7.0 ± 1.0",
                f"p = {ttest_rel(ours, base).pvalue:.3f}, n = 3",
            ],
        ]
        assert "mIoU on test images" in made.markdown()
        assert "Test images" in made.html()
        assert "mIoU on test images" in made.latex()
        (row,) = [row for row in rows(made.table) if row["method"] == "classmix"]
        assert row["teacher, test"] == pytest.approx(38)
        (run,) = [run for run in rows(made.runs) if run["folder"].endswith("classmix-2")]
        assert run["test.teacher.miou"] == pytest.approx(0.40)
        assert run["test.student.iou.road"] == 0.33

    def test_scores_of_another_step_or_split_are_not_of_this_run(self, tested):
        for folder, step, split in (("classmix-0", 400, "test"), ("classmix-1", 800, "val")):
            (tested / folder / "test" / "scores.json").unlink()
            (tested / folder / "test").rmdir()
            write_test(tested / folder, 0.9, 0.9, step, split)
        table = contents.tested(report(tested).tables[0])
        assert [cell.text for cell in table.rows[1]][1:4] == ["1", "33.0", "40.0"]

    def test_nobody_was_tested(self, tmp_path):
        made = report(study(tmp_path))
        assert contents.tested(made.tables[0]) is None
        assert "test images" not in made.markdown()

    def test_a_file_that_cannot_be_read_is_no_score(self, tested):
        (tested / "classmix-0" / "test" / "scores.json").write_text("{")
        table = contents.tested(report(tested).tables[0])
        assert table.rows[1][1].text == "2"
