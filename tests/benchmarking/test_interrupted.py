"""A benchmark that is killed and started again ends as one that was left alone."""

import os
import signal
import subprocess
import sys
import time

import torch

from ssseg.run import Run

ARGS = [
    *("benchmark", "--methods", "supervised,classmix", "--jobs", "2"),
    *("--data.train_images", "24", "--data.val_images", "4", "--data.size", "32"),
    *("--data.labeled", "8", "--data.batch_size", "4", "--trainer.accelerator", "cpu"),
    *("--trainer.max_steps", "60", "--trainer.val_check_interval", "20"),
    *("--checkpoint_every", "3", "--classmix.threshold", "0"),
]
NAMES = ["supervised-seed0", "classmix-seed0"]


def start(out):
    """In a process group of its own, as a terminal would."""
    return subprocess.Popen(
        [sys.executable, "-m", "ssseg", *ARGS, "--out", str(out)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def told(summary):
    """What must not depend on interruptions."""
    keys = ("steps", "last", "best", "history", "exposures", "data", "method")
    return {key: summary[key] for key in keys}


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
        assert f"{name.replace('-seed', ' seed ')}: finished before" in said
        assert (cut / name / "summary.json").stat().st_mtime_ns == moment
    log = (cut / f"{NAMES[1]}.log").read_text(encoding="utf-8")
    assert "step    20/60" not in log or before <= 20, "it began anew"
