"""A benchmark's rows as its grid has them: the table and the picture of each column."""

import json

import pytest
from rich.console import Console

import ssseg
from ssseg.reports.comparison.contents import spread
from ssseg.reports.comparison.planned import planned_scores
from ssseg.reports.comparison.table_formats import markdown
from ssseg.reports.comparison.terminal import show
from tests.benchmarking.folders import write
from tests.reports.comparison.columns import STUDY, plan


def column_of(folder):
    (column,) = ssseg.report(folder).columns
    return column


def text_of(folder):
    return markdown(planned_scores(column_of(folder)))


def cells_of(text, label):
    """The cells of a row of a Markdown table."""
    line = next(line for line in text.splitlines() if line.startswith(f"| {label} |"))
    return [cell.strip() for cell in line.strip("|").split("|")]


def printed(folder):
    console = Console(width=200, record=True, markup=False, emoji=False)
    show(ssseg.report(folder), console)
    return console.export_text()


def change(folder, **changes):
    """Put other values into the summary of a run."""
    summary = json.loads((folder / "summary.json").read_text())
    summary["data"] |= changes.pop("data", {})
    (folder / "summary.json").write_text(json.dumps({**summary, **changes}))


def test_rows_hold_last_and_best_student_and_teacher(tmp_path):
    column = column_of(plan(tmp_path, *STUDY))
    supervised, classmix = column.rows
    assert [supervised.label, classmix.label] == ["supervised", "classmix"]
    assert list(supervised.scores("student").values()) == pytest.approx([40, 44])
    assert not supervised.scores("teacher")
    assert list(supervised.last.values()) == pytest.approx([40, 44])
    assert list(classmix.scores("student").values()) == pytest.approx([46, 50])
    assert list(classmix.last.values()) == pytest.approx([45, 49])
    assert classmix.last == classmix.scores("teacher")
    assert list(classmix.best.values()) == pytest.approx([47, 52])
    assert column.reference is supervised


def test_the_table_says_the_gain_of_the_last_step_over_supervised(tmp_path):
    text = text_of(plan(tmp_path, *STUDY))
    assert cells_of(text, "classmix") == [
        "classmix",
        "48.0 ± 2.8",
        "47.0 ± 2.8",
        "+5.0",
        "49.5 ± 3.5",
        "100 s",
    ]
    assert "16 labeled, 496 unlabeled, 800 steps, 2 seeds" in text
    assert "no result" in text
    assert "+5.0" in printed(tmp_path)


def test_rows_are_labels_not_methods(tmp_path):
    """Variants of one method stay apart; gains refer to the supervised row, whatever its label."""
    runs = [
        ("few labels", "", "supervised", 0.40, None, 0),
        ("small", "", "classmix", 0.42, 0.43, 0),
        ("large", "", "classmix", 0.44, 0.46, 0),
    ]
    column = column_of(plan(tmp_path, *runs))
    assert [(row.label, row.method) for row in column.rows] == [
        ("few labels", "supervised"),
        ("small", "classmix"),
        ("large", "classmix"),
    ]
    assert column.reference is column.rows[0]
    text = markdown(planned_scores(column))
    assert [cells_of(text, label)[3] for label, *_ in runs] == ["-", "+3.0", "+6.0"]


def test_rows_have_the_order_of_the_grid(tmp_path):
    runs = [(f"row {n}", "", "classmix", 0.4, 0.4, 0) for n in range(12)]
    folder = plan(tmp_path / "benchmark", *runs)
    labels = [f"row {n}" for n in range(12)]
    assert [row.label for row in column_of(folder).rows] == labels
    assert [row.label for row in ssseg.report(tmp_path).tables[0].rows] == labels


def test_published_numbers_are_in_a_column_of_their_own(tmp_path):
    text = text_of(plan(tmp_path, *STUDY, classmix=73.74))
    assert cells_of(text, "method")[-1] == "paper"
    assert cells_of(text, "classmix")[-1] == "73.7"
    assert cells_of(text, "supervised")[-1] == "-"
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert len({line.count("|") for line in lines}) == 1
    assert "paper: the paper's number, with the paper's data and budget" in text
    assert "paper" in printed(tmp_path)
    assert "73.7" in printed(tmp_path)


@pytest.mark.parametrize(
    ("paper", "said"),
    [
        (47.0, "+0.0, inside"),
        (44.2, "+2.8, inside"),
        (50.0, "-3.0, outside"),
        (44.0, "+3.0, outside"),
    ],
)
def test_the_difference_to_the_paper_is_inside_or_outside_of_the_spread(tmp_path, paper, said):
    """Of 45 and 49: the mean is 47, the standard deviation 2.83."""
    text = text_of(plan(tmp_path, *STUDY, classmix=paper))
    assert cells_of(text, "method")[-2] == "ours - paper"
    assert cells_of(text, "classmix")[-2] == said
    assert cells_of(text, "supervised")[-2] == "-"
    assert "standard deviation over our seeds" in text
    assert said in printed(tmp_path)


def test_one_seed_has_no_spread(tmp_path):
    text = text_of(plan(tmp_path, *STUDY[:2], classmix=50.0))
    assert cells_of(text, "classmix")[-2] == "-5.0"


@pytest.mark.parametrize("published", [{}, {"classmix": None}, {"other": 70.0}])
def test_without_published_numbers_nothing_speaks_of_a_paper(tmp_path, published):
    plan(tmp_path / "a", *STUDY, **published)
    assert "paper" not in text_of(tmp_path / "a") + printed(tmp_path / "a")


def test_every_column_of_the_grid_has_its_name_in_the_title(tmp_path):
    runs = [(row, f"1/{n} labels", *rest) for n in (8, 4) for row, _, *rest in STUDY]
    made = ssseg.report(plan(tmp_path, *runs))
    assert [column.name for column in made.columns] == ["1/8 labels", "1/4 labels"]
    assert made.columns[0].title.startswith("1/8 labels: mIoU in % on street (128 validation")
    assert "1/8 labels: mIoU" in printed(tmp_path)
    assert column_of(plan(tmp_path / "one", *STUDY)).title.startswith("mIoU in % on street")
    *pictures, table = made.save_columns(tmp_path)
    assert [path.name for path in pictures] == [
        "comparison-1-8-labels.png",
        "comparison-1-4-labels.png",
    ]
    assert table.read_text().count("| classmix |") == 2


def test_benchmarks_of_one_folder_are_not_mixed(tmp_path):
    for name in ("a", "b"):
        plan(tmp_path / name, *STUDY)
    made = ssseg.report(tmp_path)
    assert [[len(row.entries) for row in column.rows] for column in made.columns] == [[2, 2]] * 2


def test_a_run_without_scores_is_named(tmp_path):
    plan(tmp_path, *STUDY)
    change(tmp_path / "1-classmix", last={}, best={})
    made = ssseg.report(tmp_path)
    assert [len(row.entries) for row in made.columns[0].rows] == [2, 1]
    assert [one.folder.name for one in made.left_out] == ["1-classmix"]
    assert "left out" in printed(tmp_path)
    assert "not validated" in printed(tmp_path)


def test_runs_of_no_benchmark_are_in_no_column(tmp_path):
    write(tmp_path / "a", "classmix", 0.5, 0.5)
    assert not ssseg.report(tmp_path).columns
    assert "gain over supervised" in printed(tmp_path)


def test_one_seed_has_no_spread_and_no_runs_no_value():
    assert spread([41.25]) == "41.2"
    assert spread([]) == "-"


def test_without_a_supervised_run_there_is_no_gain(tmp_path):
    assert "| classmix | 46.0 | 45.0 | - |" in text_of(plan(tmp_path, STUDY[1]))


def test_rows_that_are_not_alike_are_said(tmp_path):
    assert "not alike" not in text_of(plan(tmp_path, *STUDY))
    change(tmp_path / "1-classmix", data={"split_hash": "other"})
    assert "Rows are not alike in split hash; the page" in text_of(tmp_path)


@pytest.mark.parametrize("label", ["guidedmix [paper]", "classmix [/x]", "a | b"])
def test_labels_may_be_any_text(tmp_path, label):
    plan(tmp_path, (label, "[paper]", "classmix", 0.5, 0.6, 0))
    assert label in printed(tmp_path)
    assert "[paper]: mIoU in %" in printed(tmp_path)
    lines = [line for line in text_of(tmp_path).splitlines() if line.startswith("|")]
    assert len({line.replace("\\|", "").count("|") for line in lines}) == 1
