"""Real processes: a score is the same number for any number of them."""

import json
import os
import subprocess
import sys

import ssseg

TINY = {
    "train_images": 12,
    "val_images": 4,
    "test_images": 7,  # neither 2 processes nor batches of 2 divide it
    "size": 32,
    "labeled": 8,
    "batch_size": 4,
}


def scores_of(checkpoint, out, *args):
    """What `ssseg test` writes, in a process of its own."""
    command = [sys.executable, "-m", "ssseg", "test", "--ckpt_path", str(checkpoint)]
    command += ["--out", str(out), "--trainer.accelerator", "cpu", *args]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("student: mIoU") == 1, "every process reports"
    return json.loads((out / "scores.json").read_text(encoding="utf-8"))["networks"]


def test_one_process_and_two_agree_for_any_batch_size(tmp_path):
    trainer = {"accelerator": "cpu"}
    run = ssseg.fit("classmix", out=tmp_path / "run", max_steps=2, trainer=trainer, **TINY)
    checkpoint = run.checkpoint()
    one = scores_of(checkpoint, tmp_path / "one", "--data.val_batch_size", "1")
    two = scores_of(
        checkpoint,
        tmp_path / "two",
        "--data.val_batch_size",
        "2",
        "--trainer.devices",
        "2",
        "--trainer.strategy",
        "ddp",
    )
    assert one == two
    assert set(one) == {"student", "teacher"}
