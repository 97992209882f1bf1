"""Training commands that take seconds."""

import subprocess
import sys

import torch

from ssseg.cli.main import main

SMALL = [
    *("--data.train_images", "24", "--data.val_images", "4", "--data.size", "32"),
    *("--data.labeled", "8", "--data.batch_size", "4", "--trainer.accelerator", "cpu"),
]


def fit(*args, steps=3):
    return main(["fit", *args, *SMALL, "--trainer.max_steps", str(steps)])


def fresh(code):
    """What a new interpreter prints."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout


def assert_same_weights(first, second):
    states = [
        torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
        for folder in (first, second)
    ]
    assert states[0].keys() == states[1].keys()
    for name, tensor in states[0].items():
        assert torch.equal(tensor, states[1][name]), name


TINY = [
    *("--method", "classmix", "--data", "street", "--data.train_images", "24"),
    *("--data.val_images", "4", "--data.size", "32", "--data.labeled", "8"),
    *("--trainer.accelerator", "cpu", "--network", "small"),
]
