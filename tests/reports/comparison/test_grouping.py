import json

from ssseg.reports.comparison import contents
from tests.benchmarking.folders import write
from tests.reports.comparison.reports import notes, report


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
