"""Recipes and grids in experiments/ run as they stand, but for size."""

import json
from pathlib import Path

import pytest
import yaml

from ssseg.benchmarking.grid import plan
from ssseg.benchmarking.grid_file import read_grid
from ssseg.benchmarking.preflight import without_seed
from ssseg.cli.main import main
from ssseg.cli.preflight import forecasts
from ssseg.evaluation.inference import SIX_SCALES
from ssseg.methods import method_class
from tests.data.official_trees import draw_cityscapes, draw_context, draw_voc
from tests.data.trees import draw_tree

FOLDER = Path(__file__).parents[1] / "experiments"
RECIPES = [p for p in sorted(FOLDER.glob("*/*.yaml")) if "model" in yaml.safe_load(p.read_text())]
TABLES = sorted(FOLDER.glob("*/table*.yaml"))
GRIDS = [p for p in sorted(FOLDER.glob("*/*.yaml")) if p not in RECIPES]
QUICK = ("complexmix-table1", "guidedmix-table5")
TINY = [
    *("--network.encoder", "test_resnet", "--network.weights", "null", "--network.depth", "3"),
    *("--data.crop_size", "[24,24]", "--data.batch_size", "2", "--data.labeled", "4"),
    *("--data.num_workers", "0", "--trainer.max_steps", "2", "--trainer.accelerator", "cpu"),
]
TRANSFORMER = ("--network.encoder", "test_vit", "--network.depth", "4")
LATER = (
    "cps-voc",
    "fixmatch-voc",
    "fixmatch-cityscapes",
    "unimatch-cityscapes",
    "unimatch_v2-cityscapes",
    "augseg-voc",
)
"""Recipes that differ little from others are trained by the slow tests."""


def name_of(path):
    return f"{path.parent.name}-{path.stem}"


def marked(table):
    """All tables but two, which show every kind of method, take their time."""
    return pytest.param(table, marks=[pytest.mark.slow] * (name_of(table) not in QUICK))


def draw(source, root):
    """A small tree in the layout that a recipe's data set is published in."""
    names = [f"2008_{i:06d}" for i in range(9)]
    match source["class_path"].rpartition(".")[2]:
        case "Voc":
            draw_voc(root, train=range(1, 5), val=(9, 10), augmented=range(11, 15))
        case "Cityscapes":
            draw_cityscapes(root, train=8)
        case "Context":
            draw_context(root, train=names[:7], val=names[7:])
        case _:
            draw_tree(root)


def timely(recipe):
    return pytest.param(recipe, marks=[pytest.mark.slow] * (name_of(recipe) in LATER))


@pytest.mark.parametrize("recipe", [timely(path) for path in RECIPES], ids=name_of)
def test_recipes_train(recipe, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    given = yaml.safe_load(recipe.read_text())
    draw(given["data"]["source"], tmp_path / "data")
    args = ["--config", str(recipe), "--data.root", "data", "--out", "run", *TINY]
    args += ["--data.image_size", "[24,24]"] if "image_size" in given["data"] else []
    args += [] if "method" in given["model"] else ["--method", "classmix"]
    network = given["model"]["network"]["init_args"]
    args += TRANSFORMER if network["decoder"] == "dpt" else []
    args += ["--eval.window", "24", "--eval.stride", "16"] * ("inference" in given["model"])
    assert main(["fit", *args]) == 0

    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    for name, value in given["model"].get("method", {}).get("init_args", {}).items():
        assert summary["method"][name] == value
    assert summary["network"]["decoder"] == given["model"]["network"]["init_args"]["decoder"]
    assert given["model"].get("optim", {}).items() <= summary["optim"].items()


@pytest.mark.parametrize("grid", GRIDS, ids=name_of)
def test_grids_say_how_they_are_run_and_name_known_options(grid):
    text = grid.read_text(encoding="utf-8")
    command = f"ssseg benchmark experiments/{grid.parent.name}/{grid.name}"
    assert command in text
    runs = plan(read_grid(grid), Path("out"))
    for run in runs:
        options = [word for word in run.args if word.startswith("--method.")]
        names = {word[2:].split("=")[0].split(".")[1] for word in options}
        assert names <= set(method_class(run.args[2]).__dataclass_fields__), run.name
    if grid.name.startswith("table"):
        assert f"{command} --smoke" in text


@pytest.mark.parametrize("grid", TABLES, ids=name_of)
def test_every_table_has_a_smoke_of_all_its_rows(grid):
    whole, small = read_grid(grid), read_grid(grid, smoke=True)
    assert list(small.rows) == list(whole.rows)
    assert not small.published


@pytest.mark.parametrize("grid", [marked(path) for path in TABLES], ids=name_of)
def test_every_smoke_can_run(grid):
    """Each kind of run is made whole, network, data and method, but trains nothing."""
    whole, small = read_grid(grid), read_grid(grid, smoke=True)
    column = next(iter(small.columns))  # the others differ in the number of labels
    runs = [run for run in plan(small, Path("out")) if run.column == column]
    cells = {tuple(without_seed(run.args)): run for run in runs}
    request = {"runs": [list(cell) for cell in cells], "measure": False, "at_once": 1}
    seen = {}
    for run, answer in zip(cells.values(), forecasts(request), strict=True):
        assert "error" not in answer, run.name
        assert seen.setdefault(answer["config_hash"], run.row) == run.row
        # what makes the row is in the configuration, and is not what another row is
        method = answer["config"]["model"]["method"]
        for name, value in whole.rows[run.row].items():
            if name.startswith("method."):
                assert method["init_args"][name.removeprefix("method.")] == value, run.name


@pytest.mark.parametrize("grid", GRIDS, ids=name_of)
def test_no_two_rows_of_a_grid_are_the_same_run(grid):
    """Also where one row names what is the default of another."""
    seen = {}
    for run in plan(read_grid(grid), Path("out")):
        options = [word[2:].partition("=")[::2] for word in run.args if "=" in word]
        given = {
            name.removeprefix("method."): yaml.safe_load(value)
            for name, value in options
            if name.startswith("method.")
        }
        rest = {name: value for name, value in options if not name.startswith("method.")}
        whole = {"method": run.args[2], **method_class(run.args[2])(**given).hparams, "rest": rest}
        key = (run.column, run.seed, json.dumps(whole, sort_keys=True))
        assert seen.setdefault(key, run.row) == run.row


def test_the_last_row_of_table_10_is_scored_at_six_scales_and_mirrored():
    grid = read_grid(FOLDER / "guidedmix" / "table10.yaml", smoke=True)
    run = next(run for run in plan(grid, Path("out")) if run.row == "guidedmix, MS and flip")
    (answer,) = forecasts({"runs": [run.args], "measure": False, "at_once": 1})
    assert answer["config"]["model"]["inference"] == {
        **answer["config"]["model"]["inference"],
        "scales": list(SIX_SCALES),
        "flip": True,
    }


def test_recipes_are_what_their_papers_print():
    read = {p.stem: yaml.safe_load(p.read_text()) for p in RECIPES if p.parent.name == "guidedmix"}
    for name, bound, crop in (("voc", 0.5, 321), ("cityscapes", 0.3, 513), ("context", 0.4, 480)):
        given = read[name]
        assert given["model"]["method"]["init_args"]["lambda_max"] == bound
        assert given["data"]["crop_size"] == [crop, crop]
        assert given["data"]["rotation"] > 0
    complexmix = read_grid(FOLDER / "complexmix" / "table1.yaml")
    runs = plan(complexmix, Path("out"))
    assert all("--optim.nesterov=false" in run.args for run in runs)
    starts = {run.row: arg for run in runs for arg in run.args if "warmup_steps" in arg}
    assert starts["complexmix"] == "--method.warmup_steps=0.05"
    assert starts["classmix"] == "--method.warmup_steps=0.0"


def test_a_run_of_a_table_trains(tmp_path, monkeypatch):
    """The row that overrides most: another network than the recipe's, another crop and split."""
    monkeypatch.chdir(tmp_path)
    draw({"class_path": "Voc"}, tmp_path / "data")
    runs = plan(read_grid(FOLDER / "guidedmix" / "table2.yaml"), Path("out"))
    run = next(run for run in runs if run.row == "without MITrans")
    assert main([*run.args, "--data.root", "data", *TINY]) == 0

    summary = json.loads((run.folder / "summary.json").read_text())
    assert summary["network"]["decoder_options"] == {"mitrans": False}
    assert summary["method"]["warmup_steps"] == 0.05
