import json
import re
import shlex
import shutil

import numpy as np
import pytest
import yaml
from PIL import Image

from ssseg.cli.main import main
from ssseg.errors import UserError
from ssseg.methods import Supervised
from ssseg.runs.run import Run

SMALL = [
    *("--data.train_images", "24", "--data.val_images", "4", "--data.size", "32"),
    *("--data.labeled", "8", "--data.batch_size", "4", "--trainer.accelerator", "cpu"),
    *("--trainer.max_steps", "2"),
]


def test_two_methods_side_by_side(tmp_path, request, capsys):
    """Real processes, a table, a picture; what is finished is not trained again."""
    out = tmp_path / "study"
    args = ["benchmark", "--methods", "supervised,classmix", "--jobs", "2", "--out", str(out)]
    args += [*SMALL, "--network", "small"]
    assert main(args) == 0
    printed = capsys.readouterr().out
    assert "supervised seed 0: finished" in printed
    assert "classmix seed 0: finished" in printed
    table = (out / "comparison.md").read_text(encoding="utf-8")
    assert table.count("| classmix |") == 1
    assert "paper" not in table
    assert np.asarray(Image.open(out / "comparison.png")).shape[0] > 500
    page = (out / "report" / "report.html").read_text(encoding="utf-8")
    assert "2 runs, 1 seed, 1 table" in page
    assert "none: 1 pair" in page
    assert (out / "report" / "curves.svg").is_file()
    runs = [Run(out / f"{method}-seed0") for method in ("supervised", "classmix")]
    assert len({run.summary["data"]["split_hash"] for run in runs}) == 1

    before = (out / "classmix-seed0" / "summary.json").stat().st_mtime_ns
    request.getfixturevalue("in_this_process")
    assert main(args) == 0
    assert "finished before" in capsys.readouterr().out
    assert (out / "classmix-seed0" / "summary.json").stat().st_mtime_ns == before


RECIPE = {
    "model": {
        "method": {"class_path": "ssseg.methods.GuidedMix", "init_args": {"lambda_max": 0.3}},
        "network": {
            "class_path": "ssseg.models.Segmenter",
            "init_args": {
                "decoder": "guidedmix",
                "encoder": "test_resnet",
                "depth": 3,
                "decoder_options": {"channels": [16, 16, 8]},
            },
        },
    },
    "data": {"batch_size": 4, "source": {"class_path": "ssseg.data.datasets.Street"}},
}
GRID = """
recipe: recipe.yaml
options:
  data.train_images: 24
  data.val_images: 4
  data.size: 32
  data.scale: [0.5, 1.5]
  data.num_workers: null
  network.freeze_bn: true
  optim.lr: 1.0e-3
  trainer.max_steps: 9
  trainer.accelerator: cpu
  guidedmix.warmup_steps: 0
rows:
  supervised: {method: supervised}
  without MITrans:
    method: guidedmix
    network.decoder_options: {channels: [16, 16, 8], mitrans: false}
  guided: {method: guidedmix, method.pair: random}
columns:
  1/3 labels: {data.labeled: 1/3}
  12 labels: {data.labeled: 12}
skip: {without MITrans: [12 labels], guided: [12 labels]}
published:
  guided: {1/3 labels: 73.74}
"""


@pytest.mark.slow
@pytest.mark.usefixtures("in_this_process")
def test_a_grid_file_ends_in_a_section_and_a_picture_per_column(here, capsys):
    (here / "grids").mkdir()
    (here / "grids" / "tiny.yaml").write_text(GRID)
    (here / "grids" / "recipe.yaml").write_text(yaml.safe_dump(RECIPE))
    assert main(["benchmark", "grids/tiny.yaml", "--trainer.max_steps", "2"]) == 0
    printed = capsys.readouterr().out
    out = here / "runs" / "tiny"
    names = ["guided-1-3-labels-seed0", "supervised-1-3-labels-seed0"]
    names += ["supervised-12-labels-seed0", "without-MITrans-1-3-labels-seed0"]
    assert sorted(path.name for path in out.iterdir() if path.is_dir()) == sorted(
        [*names, "report"]
    )

    # what the file says has arrived, what is typed went before it
    configs = {n: yaml.safe_load((out / n / "config.yaml").read_text()) for n in names}
    guided = configs["guided-1-3-labels-seed0"]
    assert guided["data"]["scale"] == [0.5, 1.5]
    assert guided["data"]["num_workers"] is None
    assert guided["model"]["network"]["init_args"]["freeze_bn"] is True
    assert guided["model"]["optim"]["lr"] == 0.001
    assert guided["trainer"]["max_steps"] == 2
    method = guided["model"]["method"]["init_args"]
    assert (method["pair"], method["warmup_steps"]) == ("random", 0)
    assert method["lambda_max"] == 0.5, "an option of the recipe's method stayed"
    assert {c["model"]["network"]["init_args"]["encoder"] for c in configs.values()} == {
        "test_resnet"
    }
    supervised = configs["supervised-12-labels-seed0"]["model"]["method"]
    assert supervised["class_path"].endswith("Supervised")
    labeled = {n: Run(out / n).summary["data"]["labeled"] for n in names}
    assert labeled == dict(zip(names, (8, 8, 12, 8), strict=True))

    first, second = (out / "comparison.md").read_text(encoding="utf-8").split("\n**12 labels: ")
    assert first.startswith("**1/3 labels: mIoU in % on street")
    lines = {line.split(" |")[0]: line for line in first.splitlines()}
    assert lines["| guided"].endswith("| 73.7 |")
    assert lines["| supervised"].endswith("| - |")
    assert "8 labeled, 16 unlabeled, 2 steps, 1 seed" in first
    assert "paper: the paper's number" in first
    assert "12 labeled, 12 unlabeled, 2 steps" in second
    assert "| supervised |" in second
    assert "paper" not in second
    assert "guided" not in second
    for column in ("1-3-labels", "12-labels"):
        assert np.asarray(Image.open(out / f"comparison-{column}.png")).shape[0] > 500
        assert f"comparison-{column}.png" in printed
    assert not (out / "comparison.png").exists()

    # rows of other networks and numbers of labels stand in tables of their own, with their labels
    report = (out / "report" / "report.md").read_text(encoding="utf-8")
    assert report.count("## Table") == 3
    assert "network.decoder_options.mitrans" in report
    assert "| without MITrans | 1 |" in report
    assert "Rows are not alike in network.decoder\\_options.mitrans" in first

    # a remark of the method is said before it trains, and only where it is true
    logs = {path.name: path.read_text() for path in out.glob("*.log")}
    assert "has no MITrans" in logs["without-MITrans-1-3-labels-seed0.log"]
    assert "has no MITrans" not in logs["guided-1-3-labels-seed0.log"]
    assert "has no MITrans" not in logs["supervised-12-labels-seed0.log"]


@pytest.mark.usefixtures("in_this_process")
def test_a_dry_run_lists_the_runs_with_their_time_and_trains_nothing(here, capsys):
    (here / "grid.yaml").write_text(
        "rows:\n"
        "  supervised: {method: supervised}\n"
        "  guided:\n"
        "    method: guidedmix\n"
        "    network.decoder_options: {decoder_channels: [32, 16, 16, 8]}\n"
        "columns: {few: {data.labeled: 8}, many: {data.crop_size: [32, 32]}}\n"
        "seeds: 2\n"
        "options: {network: small}\n"
    )
    assert main(["benchmark", "grid.yaml", "--dry-run", "--out", "my study", *SMALL]) == 0
    *lines, total = capsys.readouterr().out.splitlines()
    assert len(lines) == 8
    assert shlex.split(lines[3], comments=True) == [
        *("ssseg", "fit", "--method", "guidedmix", "--seed_everything", "0"),
        *("--out", "my study/guided-many-seed0", "--network=small", *SMALL),
        "--data.crop_size=[32, 32]",
        '--network.decoder_options={"decoder_channels": [32, 16, 16, 8]}',
    ]
    for line in lines:
        assert re.fullmatch(r"about \d+ s, 0.\d million parameters", line.split("  # ")[1])
    assert re.fullmatch(r"# 8 runs, about \d+ s", total)
    assert [path.name for path in here.iterdir()] == ["grid.yaml"]


@pytest.mark.usefixtures("in_this_process")
def test_a_dry_run_of_methods(here, capsys):
    args = ["benchmark", "--dry-run", "--methods", "guidedmix", "--seeds", "3,4", "--jobs", "2"]
    assert main([*args, *SMALL]) == 0
    *lines, total = capsys.readouterr().out.splitlines()
    words = [shlex.split(line, comments=True) for line in lines]
    assert [line[3] for line in words] == ["supervised", "guidedmix"] * 2
    assert [line[5] for line in words] == ["3", "3", "4", "4"]
    assert words[0][7] == "runs/benchmark/supervised-seed3"
    assert all(line[8:] == ["--network", "auto", *SMALL] for line in words)
    assert total.endswith("s with 2 at once")
    assert not list(here.iterdir())


@pytest.mark.usefixtures("in_this_process")
def test_what_cannot_work_is_said_before_anything_trains(here, capsys):
    (here / "grid.yaml").write_text(
        "methods: [supervised, cutmix]\n"
        "columns:\n"
        "  fine: {data.size: 32}\n"
        "  large: {data.batch_size: 500}\n"
        "  lost: {data: folder, data.root: nowhere}\n"
        "seeds: 3\n"
    )
    for more in ([], ["--dry-run"]):
        assert main(["benchmark", "grid.yaml", *more]) == 2
        err = capsys.readouterr().err
        assert err.count("\n") == 1
        assert "4 of 6 kinds of runs cannot work" in err
        assert "cutmix large: option data.batch_size is 500, but there are only 16 labeled" in err
        assert "supervised lost: option data.root is nowhere, but there is no such folder" in err
        assert [path.name for path in here.iterdir()] == ["grid.yaml"]


@pytest.mark.usefixtures("in_this_process")
def test_seeds_and_folder_of_a_grid_may_be_typed(here, capsys):
    (here / "grid.yaml").write_text("rows: {a: {method: supervised}}\nseeds: 3\n")
    for typed, folders in (
        ([], [f"runs/grid/a-seed{seed}" for seed in (0, 1, 2)]),
        (["--seeds", "7,", "--out", "x"], None),
        (["--seeds", "7,9", "--out", "x"], ["x/a-seed7", "x/a-seed9"]),
    ):
        code = main(["benchmark", "grid.yaml", "--dry-run", *typed, *SMALL])
        captured = capsys.readouterr()
        if folders is None:
            assert code == 2
            assert "option seeds is '7,'" in captured.err
        else:
            lines = captured.out.splitlines()[:-1]
            assert [shlex.split(line)[7] for line in lines] == folders


@pytest.mark.usefixtures("in_this_process")
def test_test_images_are_scored_where_it_is_asked(here, capsys):
    args = ["benchmark", "--methods", "supervised", "--test", *SMALL]
    assert main([*args, "--data.test_images", "3"]) == 0
    folder = here / "runs" / "benchmark"
    found = json.loads((folder / "supervised-seed0" / "test" / "scores.json").read_text())
    assert (found["data"]["split"], found["data"]["images"], found["step"]) == ("test", 3, 2)
    report = (folder / "report" / "report.md").read_text()
    assert "mIoU on test images in %" in report
    told = f"| supervised | 1 | {100 * found['networks']['student']['miou']:.1f} | - | - |"
    assert told in report

    # what was trained without it is scored now, and not trained again
    shutil.rmtree(folder / "supervised-seed0" / "test")
    before = (folder / "supervised-seed0" / "summary.json").stat().st_mtime_ns
    assert main([*args, "--data.test_images", "3"]) == 0
    assert "supervised seed 0: goes on from where it stood" in capsys.readouterr().out
    assert (folder / "supervised-seed0" / "test" / "scores.json").is_file()
    assert (folder / "supervised-seed0" / "summary.json").stat().st_mtime_ns == before


class Broken(Supervised):
    """Works until it trains."""

    def losses(self, batch, step):
        raise UserError("the moon is in the wrong place")


@pytest.mark.usefixtures("in_this_process")
def test_a_run_that_fails_is_reported_with_its_reason_and_the_rest_goes_on(here, capsys):
    broken = f"{__name__}.Broken"
    (here / "grid.yaml").write_text(
        f"rows: {{broken: {{method: {broken}}}, fine: {{method: supervised}}}}"
    )
    assert main(["benchmark", "grid.yaml", "--out", "study", *SMALL]) == 2
    captured = capsys.readouterr()
    assert "1 of 2 runs failed (broken seed 0: the moon is in the wrong place)" in captured.err
    assert "broken seed 0: FAILED  the moon is in the wrong place" in captured.out
    assert (here / "study" / "fine-seed0" / "summary.json").is_file()
    report = (here / "study" / "report" / "report.md").read_text(encoding="utf-8")
    assert "| fine | 1 |" in report
    assert "its log ends with: ssseg: error: the moon is" in report or "the moon is in" in report


def test_bad_options_of_the_verb(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for args, complaint in (
        ([], "--methods"),
        (["--seeds", "3"], "either a grid file or --methods"),
        (["grid.yaml", "--methods", "classmix"], "either a grid file or --methods"),
        (["grid.yaml"], "there is no grid grid.yaml"),
        (["supervised,classmix"], "expected a YAML file, or --methods"),
        (["--methods", "clasmix"], "did you mean 'classmix'"),
        (["--methods", "classmix", "--seeds", "few"], "option seeds is 'few'"),
        (["--methods", "classmix", "--jobs", "many"], "--jobs"),
        (["--methods", "classmix", "--jobs", "0"], "option jobs is 0; expected at least 1"),
        (["--methods", "classmix", "--retries", "-1"], "option retries is -1"),
        (["--methods", "classmix", "--launcher", "rya"], "did you mean 'ray'"),
        (["--methods", "classmix", "--address", "x:1"], "address is of --launcher ray"),
        (["--methods", "classmix", "--smoke"], "--smoke is of a grid file"),
    ):
        assert main(["benchmark", *args]) == 2
        err = capsys.readouterr().err
        assert complaint in err
        assert err.count("ssseg: error") == len(err.splitlines()) == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("seeds", ["0", "-1"])
def test_no_seed_at_all_is_refused(here, capsys, seeds):
    (here / "grid.yaml").write_text("rows: {a: {method: supervised}}")
    assert main(["benchmark", "grid.yaml", "--seeds", seeds]) == 2
    assert "seed" in capsys.readouterr().err


@pytest.mark.usefixtures("in_this_process")
def test_labels_and_options_are_no_markup(here, capsys):
    (here / "grid.yaml").write_text("rows: {'[red] :smile:': {method: supervised}}")
    assert main(["benchmark", "grid.yaml", "--dry-run", "--out", "[/old]", *SMALL]) == 0
    assert shlex.split(capsys.readouterr().out.splitlines()[0])[7] == "[/old]/red-smile-seed0"


def test_splits_and_networks_of_a_grid_are_its_own(here, capsys):
    (here / "grid.yaml").write_text("rows: {a: {method: supervised}}")
    assert main(["benchmark", "grid.yaml", "--splits", "1/8"]) == 2
    assert "option --splits goes with --methods" in capsys.readouterr().err


def test_a_grid_after_methods_is_refused(here, capsys):
    (here / "grid.yaml").write_text("rows: {a: {method: supervised}}")
    for args in (["--methods", "cutmix", "--dry-run", "grid.yaml"], ["--dry-run", "grid.yaml"]):
        assert main(["benchmark", *args]) == 2
        assert "grid.yaml" in capsys.readouterr().err
