"""Draw a training step of every method with its own code: `python docs/draw_steps.py [METHOD ...]`.

A supervised network is trained on built-in scenes first. Every method then trains it for a few
steps, and the columns of its sample picture are drawn for one batch, as runs draw them.
"""

import copy
import sys
import tempfile
from pathlib import Path

import torch
from PIL import Image

import ssseg
from ssseg import SegmentationData, Segmenter
from ssseg.data.datasets import Street
from ssseg.methods import METHODS, create_method, method_class
from ssseg.types import Step
from ssseg.viz import gallery

FOLDER = Path(__file__).parent / "images" / "steps"
OWN = ("guidedmix",)
"""Methods whose pages have a picture of a run, because the step needs a trained decoder."""
SUPERVISED, STEPS, TOTAL = 400, 60, 10_000
"""Steps of the first network, steps of each method, and the length of the run they are part of."""
MORE = {"cct": 400, "s4gan": 300}
"""Steps of methods with further networks that start from random weights."""
LR = 5e-4
SHOWN = {"warmup_steps": 0, "rampup_steps": 0, "box_probability": 1.0}
"""Options of the picture, where they are not 0: nothing waits, and all images get a rectangle."""


def main() -> None:
    """Write docs/images/steps/METHOD.png."""
    names = sys.argv[1:] or [
        name for name in METHODS if method_class(name).num_views and name not in OWN
    ]
    with tempfile.TemporaryDirectory() as folder:
        run = ssseg.fit(
            "supervised", labeled=64, network="small", max_steps=SUPERVISED, out=folder + "/run"
        )
        network = ssseg.load(run.checkpoint()).network
    for name in names:
        print(draw(name, network), flush=True)


def draw(name: str, network: Segmenter) -> Path:
    """The picture of one method.

    Args:
        name: Of the method.
        network: A trained student.
    """
    torch.manual_seed(0)
    method = create_method(name)
    for option, value in SHOWN.items():
        if getattr(method, option, 0):
            setattr(method, option, value)
    method.setup(copy.deepcopy(network).requires_grad_(True))
    method.train()
    data = SegmentationData(Street(), batch_size=4, num_views=method.num_views, seed=0)
    data.setup("fit")
    optimiser = torch.optim.AdamW(method.parameters(), lr=LR)
    steps = MORE.get(name, STEPS)
    for index in range(steps):
        step = Step(index, TOTAL, torch.Generator().manual_seed(index))
        terms = method.losses(data.draw(index).batch, step).losses
        optimiser.zero_grad()
        torch.stack(list(terms.values())).sum().backward()
        optimiser.step()
        method.after_step(step)

    step = Step(steps, TOTAL, torch.Generator().manual_seed(1))
    with torch.no_grad():
        columns = method.pictures(data.draw(STEPS).batch, step)
    path = FOLDER / f"{name}.png"
    info = data.info
    gallery(path, [(f"{name}, a training step", columns)], info.classes, info.mean, info.std, 2)
    Image.open(path).convert("RGB").quantize(200).save(path, optimize=True)
    return path


if __name__ == "__main__":
    main()
