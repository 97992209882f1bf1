import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from ssseg.benchmarking import runner
from ssseg.cli.main import main
from ssseg.errors import UserError
from ssseg.methods import Supervised
from ssseg.runs.lock import is_held
from ssseg.runs.run import Run
from tests.benchmarking.runs import SMALL


@pytest.mark.usefixtures("preflight_here")
def test_two_methods_side_by_side(tmp_path, capsys):
    """Real processes, a table, a picture."""
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
    assert "supervised seed 0: resumed" in capsys.readouterr().out
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


ARGS = [
    *("benchmark", "--methods", "supervised,classmix", "--jobs", "2"),
    *("--data.train_images", "24", "--data.val_images", "4", "--data.size", "32"),
    *("--data.labeled", "8", "--data.batch_size", "4", "--trainer.accelerator", "cpu"),
    *("--network.encoder", "test_resnet", "--network.depth", "3"),
    *("--trainer.max_steps", "60", "--trainer.val_check_interval", "20"),
    *("--checkpoint_every", "3", "--classmix.threshold", "0"),
]


NAMES = ["supervised-seed0", "classmix-seed0"]


def start(out, args=ARGS):
    """In a process group of its own, as a terminal would."""
    return subprocess.Popen(
        [sys.executable, "-m", "ssseg", *args, "--out", str(out)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        # whoever runs these tests in the background has it ignored, and so would its children
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def told(summary):
    """What must not depend on interruptions."""
    keys = ("steps", "last", "best", "history", "exposures", "data", "method")
    return {key: summary[key] for key in keys}


@pytest.mark.slow
def test_nothing_is_lost_and_nothing_trained_twice(tmp_path):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert start(whole).wait(300) == 0

    process = start(cut)
    last = cut / NAMES[1] / "checkpoints" / "last.ckpt"
    deadline = time.monotonic() + 200
    while not last.is_file() and time.monotonic() < deadline:
        assert process.poll() is None, process.stdout.read()
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    before = torch.load(last, weights_only=True)["global_step"]
    finished = [name for name in NAMES if (cut / name / "summary.json").is_file()]
    times = {name: (cut / name / "summary.json").stat().st_mtime_ns for name in finished}
    assert before < 60
    assert set(finished) < set(NAMES)

    again = start(cut)
    said = again.communicate(timeout=300)[0]
    assert again.returncode == 0, said
    for name in NAMES:
        assert told(Run(cut / name).summary) == told(Run(whole / name).summary)
    for name, moment in times.items():
        assert f"{name.replace('-seed', ' seed ')}: already finished" in said
        assert (cut / name / "summary.json").stat().st_mtime_ns == moment
    log = (cut / f"{NAMES[1]}.log").read_text(encoding="utf-8")
    assert "step    20/60" not in log or before <= 20, "it began anew"


ONE = ["benchmark", "--methods", "supervised", *ARGS[3:-2]]


@pytest.mark.usefixtures("preflight_here")
def test_ctrl_c_leaves_everything_usable(tmp_path, monkeypatch, request, capsys):
    """The run, a process of its own, is told to save and to end; the same command goes on."""
    folder = tmp_path / "study" / NAMES[0]
    last = folder / "checkpoints" / "last.ckpt"
    command = [*ONE, "--trainer.max_steps", "30", "--out", str(tmp_path / "study")]

    def pause(seconds, usual=time.sleep):
        if last.is_file():
            raise KeyboardInterrupt
        usual(seconds / 20)

    with monkeypatch.context() as patched:
        patched.setattr(runner.time, "sleep", pause)
        assert main(command) == 130
    assert not (folder / "summary.json").exists()
    assert not is_held(folder), "the run has not ended"
    request.getfixturevalue("in_this_process")
    assert main(command) == 0
    assert "supervised seed 0: resumed" in capsys.readouterr().out
    assert Run(folder).summary["steps"] == 30


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_a_signal_to_the_benchmark_alone_leaves_everything_usable(tmp_path, how):
    out = tmp_path / "study"
    process = start(out, ONE)
    last = out / NAMES[0] / "checkpoints" / "last.ckpt"
    deadline = time.monotonic() + 200
    while not last.is_file():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(how)
    assert process.wait(60) == (130 if how == signal.SIGINT else -9)
    again = start(out, ONE)
    said = again.communicate(timeout=300)[0]
    assert again.returncode == 0, said
    assert "supervised seed 0: resumed" in said
    assert Run(out / NAMES[0]).summary["steps"] == 60


TWELVE = ["benchmark", "--methods", "supervised,cutmix,classmix", "--seeds", "4", *ARGS[3:]]
TWELVE += ["--cutmix.threshold", "0"]


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_twelve_runs_killed_at_random_moments(tmp_path, seed):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    started = time.monotonic()
    assert start(whole, TWELVE).wait(1200) == 0
    seconds = time.monotonic() - started
    names = sorted(path.parent.name for path in whole.glob("*/summary.json"))
    assert len(names) == 12

    moments, kept = random.Random(seed), {}
    for _ in range(3):
        process = start(cut, TWELVE)
        try:
            process.wait(moments.uniform(0.1, 0.5) * seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        for path in cut.glob("*/summary.json"):
            moment = path.stat().st_mtime_ns
            assert kept.setdefault(path.parent.name, moment) == moment, "trained twice"
    last = start(cut, TWELVE)
    said = last.communicate(timeout=1200)[0]
    assert last.returncode == 0, said
    for name, moment in kept.items():
        assert (cut / name / "summary.json").stat().st_mtime_ns == moment, "trained twice"
    for name in names:
        assert told(Run(cut / name).summary) == told(Run(whole / name).summary), name
