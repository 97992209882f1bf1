"""A benchmark that is killed and started again ends as one that was left alone."""

import os
import random
import signal
import subprocess
import sys
import time

import pytest
import torch

from ssseg.benchmarking import runner
from ssseg.cli.main import main
from ssseg.runs.lock import is_held
from ssseg.runs.run import Run

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
    command = [*ONE, "--out", str(tmp_path / "study")]

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
    assert Run(folder).summary["steps"] == 60


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
