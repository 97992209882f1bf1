"""Speed of scoring, compared with the loop of published scripts: NumPy, one image at a time.

ssseg counts a whole batch on its device and copies the matrix to the host once. The loop copies
every prediction to the host and counts it with `numpy.bincount`. Both get the same logits and
labels, run in turns, and must give the same mIoU. The time of the network is not included.

    python benchmarks/validation.py --size 512 1024 --images 16 --json validation.json
"""

import argparse
import platform
from functools import partial
from pathlib import Path

import numpy as np
import torch
from common import medians, save
from torch import Tensor

from ssseg.evaluation.metrics import SegmentationScores
from ssseg.types import IGNORE


def ours(batches: list[tuple[Tensor, Tensor]], classes: int) -> float:
    """The mIoU of all batches."""
    confusion = SegmentationScores(classes).to(batches[0][0].device)
    for logits, label in batches:
        confusion.add(logits, label)
    return float(confusion.scores().miou)


def loop(batches: list[tuple[Tensor, Tensor]], classes: int) -> float:
    """The mIoU of all batches, counted image by image on the host."""
    matrix = np.zeros((classes, classes), np.int64)
    for logits, label in batches:
        for one, truth in zip(logits, label, strict=True):
            predicted = one.argmax(0).cpu().numpy()
            wanted = truth.cpu().numpy()
            known = wanted != IGNORE
            pairs = classes * wanted[known] + predicted[known]
            matrix += np.bincount(pairs, minlength=classes**2).reshape(classes, classes)
    both = np.diag(matrix)
    union = matrix.sum(0) + matrix.sum(1) - both
    return float((both[union > 0] / union[union > 0]).mean())


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--size", type=int, nargs=2, default=(512, 1024), metavar=("H", "W"))
    parser.add_argument("--classes", type=int, default=19)
    parser.add_argument("--images", type=int, default=8)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    torch.manual_seed(0)
    height, width = given.size
    batches = []
    for _ in range(max(1, given.images // given.batch)):
        logits = torch.randn(given.batch, given.classes, height, width, device=given.device)
        label = torch.randint(0, given.classes, (given.batch, height, width), device=given.device)
        label[:, :8] = IGNORE
        batches.append((logits, label))
    found = ours(batches, given.classes), loop(batches, given.classes)
    if abs(found[0] - found[1]) > 1e-9:
        raise RuntimeError(f"the mIoU of ssseg is {found[0]}, that of the loop {found[1]}")
    # both return a Python float, so the device has finished
    sides = {"ssseg": partial(ours, batches, given.classes)}
    sides["loop"] = partial(loop, batches, given.classes)
    images = given.batch * len(batches)
    seconds = medians(given.rounds, list(sides.values()))
    rates = {name: images / own for name, own in zip(sides, seconds, strict=True)}
    print(f"images of {height} x {width} scored per second, {given.device}, {platform.machine()}")
    for name, rate in rates.items():
        print(f"  {name:<8}{rate:8.1f}   x {rate / rates['loop']:.2f}")
    save(given, images_per_second=rates)


if __name__ == "__main__":
    main()
