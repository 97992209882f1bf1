"""Who stands in one table."""

import pytest

from ssseg.reports.comparison import contents
from tests.benchmarking.folders import write
from tests.reports.comparison.reports import line, notes, report

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
