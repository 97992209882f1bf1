"""What the report says: means, gains, tests, and who stands in one table."""

import json
from statistics import mean, stdev

import pytest
from scipy.stats import ttest_1samp, ttest_rel

import ssseg
from ssseg.errors import UserError
from ssseg.reports.comparison import contents
from ssseg.reports.comparison.significance import outstanding, paired
from tests.benchmarking.folders import (
    STUDENTS,
    TEACHERS,
    study,
    write,
    write_metrics,
    write_test,
)


def report(*places, **options):
    return ssseg.report([str(place) for place in places], **options)


def line(made, label, number=0):
    """The cells of a row of a table of scores, by column."""
    table = contents.scores(made.tables[number], made.tables)
    row = next(row for row in table.rows if row[0].text == label)
    return dict(zip(table.head, row, strict=True))


def notes(made, number=0):
    return " ".join(contents.scores(made.tables[number], made.tables).notes)


def points(values):
    return [100 * value for value in values]


def test_mean_spread_gain_and_test_are_those_of_plain_lists(tmp_path):
    made = report(study(tmp_path))
    assert len(made.tables) == 1
    ours, base = points(TEACHERS["classmix"]), points(STUDENTS["supervised"])
    gains = [a - b for a, b in zip(ours, base, strict=True)]
    cells = {name: cell.text for name, cell in line(made, "classmix").items()}
    assert cells == {
        "method": "classmix",
        "seeds": "3",
        "student, last": "47.7 ± 2.1",
        "teacher, last": "48.3 ± 3.5",
        "gain over supervised": f"+{mean(gains):.1f} ± {stdev(gains):.1f}",
        "paired t-test": f"p = {ttest_rel(ours, base).pvalue:.3f}, n = 3",
        "best seen": "50.3 ± 3.5",
    }
    assert ttest_1samp(gains, 0).pvalue == pytest.approx(ttest_rel(ours, base).pvalue)
    supervised = line(made, "supervised")
    assert supervised["teacher, last"].text == supervised["gain over supervised"].text == "-"


def test_numbers_for_programs_are_not_rounded(tmp_path):
    made = report(study(tmp_path))
    (row,) = [row for row in rows(made.table) if row["method"] == "classmix"]
    ours, base = points(TEACHERS["classmix"]), points(STUDENTS["supervised"])
    gains = [a - b for a, b in zip(ours, base, strict=True)]
    assert row["teacher, last"] == pytest.approx(mean(ours))
    assert row["teacher, last, std"] == pytest.approx(stdev(ours))
    assert row["student, last"] == pytest.approx(mean(points(STUDENTS["classmix"])))
    assert row["gain"] == pytest.approx(mean(gains))
    assert row["gain, std"] == pytest.approx(stdev(gains))
    assert row["p"] == pytest.approx(ttest_rel(ours, base).pvalue)
    assert row["pairs"] == 3
    assert len(rows(made.runs)) == 6


def rows(table):
    return table if isinstance(table, list) else table.to_dict("records")


def test_seeds_are_paired_by_number_not_by_place(tmp_path):
    """Seeds that only one side has count in its mean, and in no gain."""
    for seed, miou in ((0, 0.40), (1, 0.50), (2, 0.60), (3, 0.10)):
        write(tmp_path / f"s{seed}", "supervised", miou, seed=seed)
    for seed, miou in ((2, 0.61), (1, 0.52), (0, 0.43), (9, 0.99)):
        write(tmp_path / f"c{seed}", "classmix", miou, miou, seed=seed)
    made = report(tmp_path)
    cells = line(made, "classmix")
    assert cells["gain over supervised"].text == "+2.0 ± 1.0"
    assert cells["paired t-test"].text.endswith("n = 3")
    assert cells["student, last"].text == "63.8 ± 24.6"
    assert "different seeds" in notes(made)


@pytest.mark.parametrize(("seeds", "said"), [(1, "none: 1 pair"), (2, "none: 2 pairs")])
def test_fewer_than_three_seeds_have_no_test(tmp_path, seeds, said):
    for seed in range(seeds):
        write(tmp_path / f"s{seed}", "supervised", 0.40 + 0.01 * seed, seed=seed)
        write(tmp_path / f"c{seed}", "classmix", 0.50 + 0.02 * seed, 0.5, seed=seed)
    made = report(tmp_path)
    assert line(made, "classmix")["paired t-test"].text == said
    assert not any(cell.bold for cell in line(made, "classmix").values())
    assert rows(made.table)[1]["p"] is None or rows(made.table)[1]["p"] != rows(made.table)[1]["p"]


def test_equal_differences_have_no_test():
    gain = paired({0: 50.0, 1: 60.0, 2: 70.0}, {0: 40.0, 1: 50.0, 2: 60.0})
    assert gain.p is None
    assert contents.test_words(gain) == "none: 3 equal differences"
    assert contents.gain_words(gain) == "+10.0 ± 0.0"
    assert contents.gain_words(paired({0: 40.0}, {0: 50.0})) == "-10.0"


@pytest.mark.parametrize(
    ("column", "best"),
    [
        ([{0: 50, 1: 52, 2: 54}, {0: 40, 1: 43, 2: 45}], 0),
        ([{0: 40, 1: 43, 2: 45}, {0: 50, 1: 52, 2: 54}], 1),
        # higher in the mean, but by less than the differences vary
        ([{0: 50, 1: 52, 2: 54}, {0: 40, 1: 53, 2: 60}], None),
        # large spread of each row, which all seeds share
        ([{0: 30, 1: 50, 2: 70}, {0: 28, 1: 49, 2: 67}], 0),
        # beats the second, not the third
        ([{0: 50, 1: 52, 2: 54}, {0: 45, 1: 47, 2: 49}, {0: 56, 1: 30, 2: 50}], None),
        ([{0: 50, 1: 52}, {0: 40, 1: 43}], None),
        ([{0: 50, 1: 52, 2: 54}, {3: 40, 4: 43, 5: 45}], None),
        ([{0: 50, 1: 52, 2: 54}, {}], None),
        ([], None),
    ],
)
def test_bold_is_what_stands_out_of_the_spread(column, best):
    assert outstanding(column) == best


UNLIKE = {
    "data__name": "objects",
    "data__split_hash": "def456",
    "data__labeled": 32,
    "data__val": 64,
    "data__batch_size": 4,
    "data__image_size": [180, 240],
    "data__crop_size": [32, 32],
    "steps": 400,
    "network__name": "deeplabv3plus",
    "network__decoder_options": {"mitrans": False},
    "network__weights": "imagenet",
    "training__accumulate_grad_batches": 4,
    "training__precision": "bf16-mixed",
    "training__limit_val_batches": 2,
    "training__callbacks": ["EarlyStopping"],
    "data__augmentation": {"scale": [0.5, 2.0], "flip": True, "jitter": 0.5},
    "data__mean": [0.1, 0.2, 0.3],
    "evaluation__mode": "slide",
    "evaluation__flip": True,
}


@pytest.mark.parametrize("field", UNLIKE)
def test_rows_that_are_not_alike_are_never_in_one_table(tmp_path, field):
    write(tmp_path / "s", "supervised", 0.4)
    write(tmp_path / "a", "classmix", 0.5, 0.5)
    write(tmp_path / "b", "cutmix", 0.6, 0.6, **{field: UNLIKE[field]})
    made = report(tmp_path)
    labels = [[row.label for row in table.rows] for table in made.tables]
    assert labels == [["supervised", "classmix"], ["cutmix"]]
    titles = [table.title for table in made.tables]
    assert len(set(titles)) == 2, "each says what it is"
    assert line(made, "cutmix", 1)["gain over supervised"].text == "-"
    assert "No gain can be given for any row: there is no supervised run here" in notes(made, 1)
    name = field.rpartition("__")[2]
    said = {
        "name": "other table is on" if field.startswith("data") else "network.name",
        "split_hash": "split hash",
        "labeled": "labels",
        "val": "validation images",
        "batch_size": "labeled images per batch",
        "accumulate_grad_batches": "batches per step 4 (there 1)",
        "limit_val_batches": "validation batches",
        "weights": "network.weights imagenet (there none)",
        "image_size": "image size",
        "crop_size": "crop size",
        "decoder_options": "network.decoder_options.mitrans",
    }.get(name, name)
    assert said in notes(made, 1)
    assert said in made.markdown()
    assert said in made.html()


@pytest.mark.parametrize("field", UNLIKE)
def test_mixed_by_force_the_cells_that_differ_are_marked(tmp_path, field):
    for seed, miou in enumerate((0.40, 0.41, 0.42)):
        write(tmp_path / f"s{seed}", "supervised", miou, seed=seed)
        write(tmp_path / f"a{seed}", "classmix", miou + 0.1, 0.5, seed=seed)
        write(tmp_path / f"b{seed}", "cutmix", 0.9, 0.9, seed=seed, **{field: UNLIKE[field]})
    made = report(tmp_path, mix=True)
    (only,) = made.tables
    table = contents.scores(only)
    marked = [[cell.marked for cell in row] for row in table.rows]
    assert [any(row) for row in marked] == [False, False, True]
    assert not any(cell.bold for row in table.rows for cell in row)
    assert line(made, "cutmix")["gain over supervised"].text == "-"
    assert line(made, "classmix")["gain over supervised"].text.startswith("+")
    assert "Mixed by request" in notes(made)
    for text in (made.markdown(), made.html(), made.latex()):
        assert "†" in text or r"\dagger" in text


def test_runs_with_missing_settings_get_a_table_of_their_own(tmp_path):
    write(tmp_path / "s", "supervised", 0.4)
    write(tmp_path / "old", "classmix", 0.5, 0.5, evaluation=None)
    made = report(tmp_path)
    assert [len(table.rows) for table in made.tables] == [1, 1]
    assert "evaluation" in notes(made, 1)
    assert "not recorded" in notes(made, 1)


NEEDED = ("seed", "exposures", "seconds", "data_wait", "peak_memory_mb", "device", "command")
NEEDED += ("versions", "data__classes", "data__unlabeled", "data__batch_size", "data")


@pytest.mark.parametrize("key", NEEDED)
def test_a_summary_without_what_every_run_writes_is_no_run_of_ours(tmp_path, key):
    write(tmp_path / "supervised", "supervised", 0.4)
    write(tmp_path / "classmix", "classmix", 0.4, **{key: None})
    made = report(tmp_path)
    assert [[row.label for row in table.rows] for table in made.tables] == [["supervised"]]
    (one,) = made.left_out
    assert one.folder.name == "classmix"
    assert f"its summary.json has no {key.replace('__', '.')}" in one.reason


@pytest.mark.parametrize("key", ["optim", "commit", "evaluation", "data__image_size", "compute"])
def test_settings_that_were_not_recorded_are_no_mistake(tmp_path, key):
    for method in ("supervised", "classmix"):
        write(tmp_path / method, method, 0.4, **{key: None})
    made = report(tmp_path)
    assert not made.left_out
    assert [len(table.rows) for table in made.tables] == [2]
    page = made.html() + made.markdown() + made.latex() + made.csv()
    assert "40.0" in page


def test_a_run_without_an_option_that_others_have_is_a_row_of_its_own(tmp_path):
    new = {"name": "classmix", "threshold": 0.9, "hard": False}
    write(tmp_path / "a", {"name": "classmix", "threshold": 0.9}, 0.5, seed=0)
    write(tmp_path / "b", new, 0.5, seed=1)
    write(tmp_path / "c", {**new, "threshold": 0.5}, 0.5, seed=0)
    seeds = {row.label: len(row.entries) for row in report(tmp_path).tables[0].rows}
    assert seeds == {
        "classmix (threshold 0.9)": 1,
        "classmix (threshold 0.9, hard false)": 1,
        "classmix (threshold 0.5, hard false)": 1,
    }


def test_gains_refer_to_the_supervised_run_of_the_same_optimiser(tmp_path):
    for lr, base, ours in ((0.1, 0.40, 0.45), (0.2, 0.30, 0.50)):
        write(tmp_path / f"s{lr}", "supervised", base, optim__lr=lr)
        write(tmp_path / f"c{lr}", "classmix", ours, ours, optim__lr=lr)
    made = report(tmp_path)
    gains = {
        row.label: contents.gain_words(contents.gain_of(made.tables[0], row))
        for row in made.tables[0].rows
    }
    assert gains["classmix (optim.lr 0.1)"] == "+5.0"
    assert gains["classmix (optim.lr 0.2)"] == "+20.0"
    assert "Rows differ in optim.lr" in notes(made)


def test_what_has_no_numbers_is_listed_with_its_reason(tmp_path):
    write(tmp_path / "good")
    write(tmp_path / "again")
    write(tmp_path / "blind", last={}, best={})
    write(tmp_path / "broken")
    (tmp_path / "broken" / "summary.json").write_text("{")
    write(tmp_path / "strange")
    (tmp_path / "strange" / "summary.json").write_text('{"results": 1}')
    for name in ("half", "dead"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.yaml").touch()
    write_metrics(tmp_path / "half", loss=[1, 2, 3])
    (tmp_path / "dead.log").write_text("step 1\nssseg: error: out of memory\n")
    made = report(tmp_path)
    assert [len(table.rows[0].entries) for table in made.tables] == [1]
    reasons = {one.folder.name: one.reason for one in made.left_out}
    assert set(reasons) == {"blind", "broken", "strange", "half", "dead", "good"}
    assert "not validated" in reasons["blind"]
    assert "cannot be read" in reasons["broken"]
    assert "has no method.name" in reasons["strange"]
    assert "ends at step 30" in reasons["half"]
    assert reasons["dead"].endswith("its log ends with: out of memory")
    assert "repeats" in reasons["good"]
    for text in (made.html(), made.markdown()):
        assert all(reason.split("'")[0] in text for reason in reasons.values())


def test_a_folder_is_read_once_however_it_is_named(tmp_path, monkeypatch):
    study(tmp_path / "x")
    monkeypatch.chdir(tmp_path)
    made = report("x", tmp_path / "x", "x/classmix-0")
    assert len(made.entries) == 6
    assert not made.left_out


def test_no_runs_is_one_sentence(tmp_path):
    for places in ([tmp_path], []):
        with pytest.raises(UserError, match="no finished run with scores in"):
            report(*places)
    with pytest.raises(UserError, match="there is no folder"):
        report(tmp_path / "nowhere")
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "config.yaml").touch()
    with pytest.raises(UserError, match="half: not finished"):
        report(tmp_path)


def test_a_benchmark_tells_its_labels_and_what_it_planned(tmp_path):
    """Rows that train alike but are called differently stay apart, as the grid has them."""
    write(tmp_path / "a0", "classmix", 0.5)
    write(tmp_path / "b0", "classmix", 0.6)
    runs = [
        {"folder": "a0", "row": "small", "column": "", "seed": 0},
        {"folder": "b0", "row": "large", "column": "", "seed": 0},
        {"folder": "c0", "row": "huge", "column": "", "seed": 0},
    ]
    (tmp_path / "study.json").write_text(json.dumps({"runs": runs}))
    made = report(tmp_path)
    assert [row.label for row in made.tables[0].rows] == ["small", "large"]
    assert [(one.folder.name, one.reason[:11]) for one in made.left_out] == [("c0", "not started")]
    (tmp_path / "c0.log").write_text("ssseg: error: no such method\n")
    assert "no such method" in report(tmp_path).left_out[0].reason
    alone = report(tmp_path / "b0")
    assert [row.label for row in alone.tables[0].rows] == ["large"]


def test_labels_of_columns_appear_only_where_rows_would_be_called_alike(tmp_path):
    write(tmp_path / "a0", "classmix", 0.5)
    write(tmp_path / "b0", "classmix", 0.6, optim__lr=0.5)
    runs = [{"folder": f"{c}0", "row": "mine", "column": c, "seed": 0} for c in "ab"]
    (tmp_path / "study.json").write_text(json.dumps({"runs": runs}))
    assert [row.label for row in report(tmp_path).tables[0].rows] == ["mine, a", "mine, b"]


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


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("training__gradient_clip_val", 1.0),
        ("training__devices", 4),
        ("data__reuse_labeled", True),
        ("compute", {"compile": True}),
        ("optim", {"name": "adamw", "lr": 0.001, "momentum": None}),
    ],
)
def test_what_changes_how_a_run_trains_makes_a_row_of_its_own(tmp_path, field, value):
    """Also where one of two has None, which is not the same as an option that nobody recorded."""
    optim = {"name": "adamw", "lr": 0.001, "momentum": 0.9}
    write(tmp_path / "a", "cutmix", 0.4, optim=optim)
    write(tmp_path / "b", "cutmix", 0.5, seed=1, **{"optim": optim, field: value})
    (table,) = report(tmp_path).tables
    assert [len(row.entries) for row in table.rows] == [1, 1]


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


class TestFingerprints:
    """Runs of one seed should differ in the method alone; where they do not, it is said."""

    def leave(self, folder, classmix, supervised=("n", "l", None)):
        for method, prints in (("supervised", supervised), ("classmix", classmix)):
            names = ("network", "labeled", "unlabeled")
            found = {n: p for n, p in zip(names, prints, strict=True) if p is not None}
            write(folder / method, method, 0.5, fingerprints=found)
        return notes(report(folder))

    def test_the_same_start_needs_no_remark(self, tmp_path):
        assert "Runs of one seed" not in self.leave(tmp_path, ("n", "l", "u"))

    @pytest.mark.parametrize(
        ("prints", "said"),
        [
            (("m", "l", "u"), "did not start from the same weights: supervised and classmix"),
            (("n", "k", "u"), "were not shown the same labeled images, augmented alike"),
        ],
    )
    def test_another_start_is_said(self, tmp_path, prints, said):
        assert said in self.leave(tmp_path, prints)

    def test_seeds_may_differ(self, tmp_path):
        for seed in range(2):
            for method in ("supervised", "classmix"):
                found = {"network": f"n{seed}", "labeled": f"l{seed}"}
                write(tmp_path / f"{method}{seed}", method, 0.5, seed=seed, fingerprints=found)
        assert "Runs of one seed" not in notes(report(tmp_path))
