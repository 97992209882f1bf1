"""Recipes and grids in experiments/ run as they stand, but for size."""

import json
from pathlib import Path

import pytest
import yaml

from ssseg.benchmarking.grid import plan
from ssseg.benchmarking.grid_file import read_grid
from ssseg.cli import main
from ssseg.methods import GuidedMix
from tests.data.official_trees import draw_cityscapes, draw_context, draw_voc
from tests.data.trees import draw_tree

FOLDER = Path(__file__).parents[1] / "experiments"
RECIPES = [p for p in sorted(FOLDER.glob("*/*.yaml")) if "model" in yaml.safe_load(p.read_text())]
GRIDS = [p for p in sorted(FOLDER.glob("*/*.yaml")) if p not in RECIPES]
TINY = [
    *("--network.encoder", "test_resnet", "--network.weights", "null", "--network.depth", "3"),
    *("--data.crop_size", "[24,24]", "--data.batch_size", "2", "--data.labeled", "4"),
    *("--data.num_workers", "0", "--trainer.max_steps", "2", "--trainer.accelerator", "cpu"),
]


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


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_recipes_train(recipe, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    draw(yaml.safe_load(recipe.read_text())["data"]["source"], tmp_path / "data")
    args = ["--config", str(recipe), "--data.root", "data", "--out", "run", *TINY]
    assert main(["fit", *args]) == 0

    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    given = yaml.safe_load(recipe.read_text())
    for name, value in given["model"]["method"]["init_args"].items():
        assert summary["method"][name] == value
    assert summary["network"]["decoder"] == "guidedmix"
    assert summary["optim"]["name"] == "sgd"


@pytest.mark.parametrize("grid", GRIDS, ids=lambda path: path.stem)
def test_grids_say_how_they_are_run_and_name_known_options(grid):
    text = grid.read_text(encoding="utf-8")
    assert f"ssseg benchmark experiments/{grid.parent.name}/{grid.name}" in text
    runs = plan(read_grid(grid), Path("out"))
    assert runs
    for run in runs:
        options = [word for word in run.args if word.startswith("--method.")]
        names = {word[2:].split("=")[0].split(".")[1] for word in options}
        if run.args[2] == "guidedmix":
            assert names <= set(GuidedMix.__dataclass_fields__), run.name


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
