import json

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from ssseg.errors import UserError
from ssseg.reports.comparison.overview import (
    footnote,
    markdown,
    picture,
    reference_of,
    rows,
    spread,
    terminal_table,
    title,
)
from ssseg.runs.run import Run


def write_run(folder, method, student, teacher=None, best=None, seed=0):
    """A run folder as `ssseg fit` leaves it, as far as the report reads it."""
    last = {"student": {"miou": student}}
    if teacher is not None:
        last["teacher"] = {"miou": teacher}
    predictor = list(last)[-1]
    summary = {
        "method": {"name": method},
        "data": {
            "name": "street",
            "split": "16 seed 0",
            "split_hash": "abc",
            "labeled": 16,
            "unlabeled": 496,
            "val": 128,
            "classes": [{"name": "road", "color": [128, 64, 128]}],
        },
        "steps": 100,
        "seed": seed,
        "predictor": predictor,
        "last": last,
        "best": {predictor: {"miou": best or last[predictor]["miou"], "step": 50}},
        "history": [{"step": s, **{n: v["miou"] for n, v in last.items()}} for s in (50, 100)],
        "seconds": 12.0,
        "device": "CPU",
        "versions": {"torch": "2"},
    }
    tiles = folder / "samples" / "tiles"
    tiles.mkdir(parents=True)
    for name in ("input", "truth", *last):
        for i in range(4):
            Image.fromarray(np.full((8, 8, 3), 40 * i, np.uint8)).save(tiles / f"{name}_{i}.png")
    (folder / "summary.json").write_text(json.dumps(summary))
    return Run(folder)


@pytest.fixture
def study(tmp_path):
    return [
        ("supervised", write_run(tmp_path / "s0", "supervised", 0.40)),
        ("classmix", write_run(tmp_path / "c0", "classmix", 0.46, 0.45, best=0.47)),
        ("supervised", write_run(tmp_path / "s1", "supervised", 0.44, seed=1)),
        ("classmix", write_run(tmp_path / "c1", "classmix", 0.50, 0.49, best=0.52, seed=1)),
    ]


def cells_of(text, label):
    """The cells of a row of a Markdown table."""
    line = next(line for line in text.splitlines() if line.startswith(f"| {label} |"))
    return [cell.strip() for cell in line.strip("|").split("|")]


def printed(table, column=""):
    console = Console(width=200, record=True)
    console.print(terminal_table(table, column))
    return console.export_text()


def test_rows_hold_last_and_best_student_and_teacher(study):
    supervised, classmix = rows(study)
    assert [supervised.label, classmix.label] == ["supervised", "classmix"]
    assert supervised.student == pytest.approx([40, 44])
    assert supervised.teacher == []
    assert supervised.last == pytest.approx([40, 44])
    assert classmix.student == pytest.approx([46, 50])
    assert classmix.last == classmix.teacher == pytest.approx([45, 49])
    assert classmix.best == pytest.approx([47, 52])
    assert reference_of([supervised, classmix]) is supervised


def test_the_table_says_the_gain_of_the_last_step_over_supervised(study):
    text = markdown(rows(study))
    assert cells_of(text, "classmix") == [
        "classmix",
        "48.0 ± 2.8",
        "47.0 ± 2.8",
        "+5.0",
        "49.5 ± 3.5",
        "12 s",
    ]
    assert "16 labeled, 496 unlabeled, 100 steps, 2 seeds" in text
    assert "no result" in text
    assert "+5.0" in printed(rows(study))


def test_rows_are_labels_not_methods(tmp_path):
    """Variants of one method stay apart; gains refer to the supervised row, whatever its label."""
    study = [
        ("few labels", write_run(tmp_path / "s", "supervised", 0.40)),
        ("small", write_run(tmp_path / "a", "classmix", 0.42, 0.43)),
        ("large", write_run(tmp_path / "b", "classmix", 0.44, 0.46)),
    ]
    table = rows(study)
    assert [(row.label, row.method) for row in table] == [
        ("few labels", "supervised"),
        ("small", "classmix"),
        ("large", "classmix"),
    ]
    assert reference_of(table) is table[0]
    text = markdown(table)
    gains = [cells_of(text, label)[3] for label, _ in study]
    assert gains == ["-", "+3.0", "+6.0"]


def test_published_numbers_stand_in_a_column_of_their_own(study):
    table = rows(study, {"classmix": 73.74, "supervised": None})
    text = markdown(table)
    assert cells_of(text, "method")[-1] == "paper"
    assert cells_of(text, "classmix")[-1] == "73.7"
    assert cells_of(text, "supervised")[-1] == "-"
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert len({line.count("|") for line in lines}) == 1
    assert "`paper`: the paper's number, with the paper's data and budget" in footnote(table)
    assert footnote(table) in text
    assert "paper" in printed(table)
    assert "73.7" in printed(table)


@pytest.mark.parametrize("published", [None, {}, {"classmix": None}, {"other": 70.0}])
def test_without_published_numbers_nothing_speaks_of_a_paper(study, published):
    table = rows(study, published)
    assert "paper" not in markdown(table) + printed(table)


def test_the_column_of_the_grid_is_in_the_title(study):
    table = rows(study)
    assert title(table).startswith("mIoU in % on street")
    assert title(table, "1/8 labels") == f"1/8 labels: {title(table)}"
    assert markdown(table, "1/8 labels").startswith("1/8 labels: mIoU in % on street")
    assert "1/8 labels: mIoU" in printed(table, "1/8 labels")


def test_a_run_without_scores_is_one_sentence(study):
    run = study[1][1]
    file = run.folder / "summary.json"
    file.write_text(json.dumps({**run.summary, "last": {}, "best": {}}))
    with pytest.raises(UserError, match="c0 has no scores; a benchmark needs validation images"):
        rows(study)


def test_one_seed_has_no_spread_and_no_runs_no_value():
    assert spread([41.25]) == "41.2"
    assert spread([]) == "-"


def test_without_a_supervised_run_there_is_no_gain(study):
    text = markdown(rows([study[1]]))
    assert "| classmix | 46.0 | 45.0 | - |" in text


def test_rows_that_are_not_alike_are_said(study):
    assert "not alike" not in footnote(rows(study))
    run = study[1][1]
    data = {**run.summary["data"], "split_hash": "other"}
    (run.folder / "summary.json").write_text(json.dumps({**run.summary, "data": data}))
    assert "Rows are not alike in split hash; the page" in markdown(rows(study))


def test_the_picture_is_drawn_from_files(study, tmp_path):
    picture(rows(study), tmp_path / "comparison.png")
    pixels = np.asarray(Image.open(tmp_path / "comparison.png").convert("RGB"))
    assert pixels.shape[0] > 500
    assert pixels.std() > 10


@pytest.mark.parametrize("label", ["guidedmix [paper]", "classmix [/x]", "a | b"])
def test_labels_may_be_any_text(tmp_path, label):
    table = rows([(label, write_run(tmp_path / "a", "classmix", 0.5, 0.6))])
    assert label in printed(table)
    assert "[paper]: mIoU in %" in printed(table, "[paper]")
    lines = [line for line in markdown(table).splitlines() if line.startswith("|")]
    assert len({line.replace("\\|", "").count("|") for line in lines}) == 1


def test_labels_of_a_picture_may_be_any_text(tmp_path):
    labels = ["$5 and $6", "_hidden", "100 %", "λ < 0.1", "a\\b"]
    study = [
        (label, write_run(tmp_path / str(number), "classmix", 0.5, 0.6))
        for number, label in enumerate(labels)
    ]
    picture(rows(study), tmp_path / "x.png", images=1)
    assert (tmp_path / "x.png").is_file()
