"""The notebook's cell types the command line."""

import pandas as pd
import pytest
from matplotlib.figure import Figure

import ssseg
from ssseg.benchmarking import api as call
from ssseg.benchmarking.grid import plan

TINY = {
    "train_images": 24,
    "val_images": 4,
    "test_images": 3,
    "size": 32,
    "labeled": 8,
    "batch_size": 4,
}
ON_CPU = {"trainer.accelerator": "cpu", "classmix.threshold": 0.0}


@pytest.mark.usefixtures("in_this_process")
def test_a_table_and_figures(here, capsys):
    made = ssseg.benchmark(["classmix"], seeds=2, max_steps=2, test=True, options=ON_CPU, **TINY)
    assert isinstance(made.table, pd.DataFrame)
    assert list(made.table["method"]) == ["supervised", "classmix"]
    assert list(made.table["seeds"]) == [2, 2]
    assert made.table["teacher, test"].notna().tolist() == [False, True]
    assert len(made.runs) == 4
    assert set(made.runs["steps"]) == {2}
    assert all(isinstance(figure, Figure) for figure in made.figures.values())
    assert "<iframe" in made._repr_html_()
    assert (here / "runs" / "benchmark" / "report" / "report.html").is_file()

    # called again, it trains what is missing: nothing
    capsys.readouterr()
    summaries = list((here / "runs" / "benchmark").glob("*/summary.json"))
    before = [path.stat().st_mtime_ns for path in summaries]
    again = ssseg.benchmark(["classmix"], seeds=2, max_steps=2, test=True, options=ON_CPU, **TINY)
    assert capsys.readouterr().out.count("already finished") == 4
    assert [path.stat().st_mtime_ns for path in summaries] == before
    pd.testing.assert_frame_equal(again.table, made.table)


@pytest.fixture
def asked(monkeypatch):
    """What would be carried out."""
    found = []
    monkeypatch.setattr(call, "run_benchmark", lambda *args: found.append(args))
    return found


def test_every_argument_arrives(asked, tmp_path):
    ssseg.benchmark(
        ["cutmix"],
        "objects",
        splits=["1/8", 30],
        networks=["unet", "fpn"],
        seeds=[4, 7],
        max_steps=5,
        out=tmp_path,
        jobs=3,
        supervised=False,
        launcher="ray",
        address="x:1",
        retries=0,
        options={"cutmix.area": 0.3, "optim.lr": 0.1},
        batch_size=2,
    )
    ((grid, out, work, _),) = asked
    runs = plan(grid, out)
    assert [run.row for run in runs] == ["cutmix"] * 8
    assert [run.column for run in runs[:4]] == ["1/8, unet", "1/8, fpn", "30, unet", "30, fpn"]
    assert {run.seed for run in runs} == {4, 7}
    for word in ("--data=objects", "--method.area=0.3", "--optim.lr=0.1", "--data.batch_size=2"):
        assert all(word in run.args for run in runs), word
    assert all("--trainer.max_steps=5" in run.args for run in runs)
    assert out == tmp_path
    assert work == (3, "ray", "x:1", 0)


def test_a_grid_file_and_its_smoke(asked, here):
    (here / "grid.yaml").write_text(
        "methods: [cutmix]\nseeds: 3\ntest: true\nsmoke: {columns: {street: {data: street}}}"
    )
    ssseg.benchmark("grid.yaml", max_steps=5)
    ssseg.benchmark(here / "grid.yaml", smoke=True, seeds=2)
    (whole, small) = [(args[0], str(args[1])) for args in asked]
    assert (len(whole[0].seeds), whole[0].test, whole[1]) == (3, True, "runs/grid")
    assert "--trainer.max_steps=5" in whole[0].options
    assert (list(small[0].columns), small[0].seeds, small[0].test) == (["street"], [0, 1], False)
    assert small[1] == "runs/grid-smoke"


def test_mistakes_are_one_sentence(here):
    with pytest.raises(ssseg.UserError, match="did you mean 'cutmix'"):
        ssseg.benchmark(["cutmx"])
    with pytest.raises(ssseg.UserError, match="there is no grid"):
        ssseg.benchmark("nowhere.yaml")
