"""What runs need is read from their options and recipes, without their data."""

from pathlib import Path

import pytest

from ssseg.benchmarking.committed_grids import committed_grids
from ssseg.benchmarking.grid import Planned, plan
from ssseg.benchmarking.grid_file import read_grid
from ssseg.benchmarking.needs import (
    check_roots,
    data_missing,
    estimated,
    measured,
    named_by,
    needed,
)
from ssseg.benchmarking.preflight import Forecast, Forecasts, Impossible, ImpossibleRunsError
from ssseg.errors import UserError

GRIDS = committed_grids()


def runs_of(name, *options, smoke=False):
    return plan(read_grid(GRIDS[name], options, smoke=smoke), Path("out"))


def planned(*options, folder="out"):
    return Planned("a", "", 0, Path(folder), ["fit", "--method", "cutmix", *options])


@pytest.mark.parametrize(
    ("name", "data", "encoders"),
    [
        ("classmix/table1", "cityscapes", {"resnet101"}),
        ("guidedmix/table1", "voc", {"resnet50"}),
        ("guidedmix/table10", "voc", {"resnet101"}),  # of the grid, not of the recipe
        ("guidedmix/table9", "context", {"resnet101"}),
        ("unimatch_v2/table_voc", "voc", {"vit_base_patch14_dinov2.lvd142m"}),
    ],
)
def test_tables_need_the_data_and_the_weights_of_their_recipes(name, data, encoders):
    found = list(map(named_by, runs_of(name)))
    assert {one.data for one in found} == {data}
    assert {one.encoder.split(".")[0] for one in found} == {e.split(".")[0] for e in encoders}
    assert {one.weights for one in found} == {"imagenet"}
    texts = dict(needed(runs_of(name)))
    assert "https://" in texts["data"] or "http://" in texts["data"]
    assert all(encoder.split(".")[0] in texts["weights"] for encoder in encoders)


def test_options_go_before_the_recipe():
    options = ["--data", "camvid", "--network.encoder", "resnet18", "--network.weights=my.pth"]
    found = {*map(named_by, runs_of("classmix/table1", *options, "--data.root=photos"))}
    assert found == {("camvid", "photos", "resnet18", "my.pth")}


@pytest.mark.parametrize("name", [n for n in GRIDS if "/table" in n])
def test_smoke_forms_need_drawn_scenes_alone(name):
    runs = runs_of(name, smoke=True)
    assert {one.data for one in map(named_by, runs)} <= {"street", "objects"}
    assert {key for key, _ in needed(runs)} == {"data"}
    check_roots(runs)


@pytest.mark.parametrize("name", ["classmix/table1", "guidedmix/table1", "guidedmix/table9"])
def test_published_data_need_a_folder(name, tmp_path):
    for options, said in (
        ([], "option data.root is missing; expected the folder of "),
        (["--data.root", str(tmp_path / "x")], f"{tmp_path / 'x'}, but there is no such folder; "),
    ):
        with pytest.raises(UserError, match=r"http.*://") as error:
            check_roots(runs_of(name, *options))
        assert said in str(error.value)
    check_roots(runs_of(name, "--data.root", str(tmp_path)))


def impossible(*reasons):
    return ImpossibleRunsError([Impossible(planned(), reason) for reason in reasons], len(reasons))


def test_a_reason_about_the_data_is_said_once_with_where_they_are():
    runs = [planned("--data", "cityscapes", "--data.root", "photos")] * 2
    wrong = "option data.root is photos, but there is no leftImg8bit/ in it"
    said = str(data_missing(runs, impossible(wrong, wrong)))
    assert said.startswith(wrong)
    assert said.count(wrong) == 1
    assert "cityscapes-dataset.com" in said


@pytest.mark.parametrize("reasons", [("data.batch_size", "data.batch_size"), ("data.root a", "b")])
def test_other_reasons_stay_as_they_are(reasons):
    error = impossible(*reasons)
    assert data_missing([planned("--data", "voc", "--data.root", "data")], error) is error


def forecast(between=None, memory=None):
    return Forecast({}, "hash", "split", 1, None, between=between, memory=memory)


def test_the_time_is_of_all_runs_and_the_memory_of_the_largest(tmp_path):
    runs = [planned(folder=tmp_path / name) for name in "abc"]
    looked = Forecasts(2, [forecast((60, 60), 10**9), forecast((30, 30), 7 * 10**9), forecast()])
    said = estimated(runs, looked, 2)
    assert said == "about 2 min, 45 s with 2 at once; 1 of them are not measured and not counted"
    texts = dict(measured(runs, looked, 2))
    assert texts["time"] == f"3 runs on this machine (2 GPUs): {said}"
    assert texts["memory"].startswith("7.0 GB")
    without = dict(measured(runs[:1], Forecasts(0, [forecast((5, 5))]), 1))
    assert without == {"time": "1 run on this machine (no GPU): about 5 s"}
