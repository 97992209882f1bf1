"""Functions that several of the programs use: time in turns, make a random batch, write JSON."""

import argparse
import json
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from ssseg.types import Batch, Labeled, Unlabeled


def medians(repeats: int, runs: Sequence[Callable[[], object]]) -> list[float]:
    """Median seconds of every function. They are called in turns; the first turn is not counted."""
    times: list[list[float]] = [[] for _ in runs]
    for turn in range(repeats + 1):
        for run, own in zip(runs, times, strict=True):
            start = time.perf_counter()
            run()
            if turn > 0:
                own.append(time.perf_counter() - start)
    return [statistics.median(own) for own in times]


def noise(
    count: int, crop: int, classes: int, device: torch.device | str = "cpu", views: int = 1
) -> Batch:
    """A batch of random labeled and unlabeled images; all pixels are labeled and valid.

    Args:
        count: Number of labeled images, and of unlabeled ones.
        crop: Height and width in pixels.
        classes: Number of classes.
        device: Device of the batch.
        views: Views of each unlabeled image; 0: no unlabeled images.
    """
    image = torch.randn(1 + views, count, 3, crop, crop, device=device)
    label = torch.randint(0, classes, (count, crop, crop), device=device)
    valid = torch.ones(count if views else 0, crop, crop, dtype=torch.bool, device=device)
    return Batch(Labeled(image[0], label), Unlabeled(list(image[1:]), valid))


def save(given: argparse.Namespace, **numbers: object) -> None:
    """Write numbers and options to the file of `--json`, if it is given."""
    if given.json:
        about = {name: str(value) for name, value in vars(given).items() if name != "json"}
        text = json.dumps({"about": about, **numbers}, indent=1)
        Path(given.json).write_text(text + "\n", encoding="utf-8")
