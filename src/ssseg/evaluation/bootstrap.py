"""How much the mIoU of two networks, and their difference, depend on the images of a set."""

from typing import NamedTuple

import numpy as np
import torch
from scipy.stats import norm, t
from torch import Tensor

from ssseg.evaluation.metrics import MissingClasses, mean_iou

SAMPLES = 10_000
CHUNK = 500
"""Samples that are computed together."""


class PairedBootstrap(NamedTuple):
    """Two networks on the same images. Scores are mIoU in [0, 1]."""

    ours: float
    theirs: float
    difference: tuple[float, float]
    """Interval of 95 % for `ours` - `theirs`."""
    score: tuple[float, float]
    """Interval of 95 % for `ours`."""


def paired_bootstrap(
    ours: Tensor, theirs: Tensor, missing_classes: MissingClasses = "skip", seed: int = 0
) -> PairedBootstrap:
    """Draw the images again with replacement, each time the same ones for both networks.

    The percentiles are those of the expanded percentile interval of Hesterberg, "What Teachers
    Should Know About the Bootstrap", The American Statistician 69 (2015): of n images,
    `Phi(-sqrt(n / (n - 1)) * t_{n-1}(0.975))` in place of 2.5 %, because the plain interval is
    too narrow for small n.

    Args:
        ours: (N, 3, C) int64 counts of `image_counts`, for N images.
        theirs: The same for the other network.
        missing_classes: What a class without pixels counts in the mIoU.
        seed: Of the draws.

    Raises:
        ValueError: For counts of other images: the true pixels differ.
    """
    first, second = (counts.cpu().double() for counts in (ours, theirs))
    if first.shape != second.shape or (first[:, 1] != second[:, 1]).any():
        raise ValueError("the two networks were not scored on the same images")
    images = len(first)
    rng = np.random.default_rng(seed)
    scores, differences = [], []
    for start in range(0, SAMPLES, CHUNK):
        count = min(CHUNK, SAMPLES - start)
        # how often each image is drawn
        weights = torch.from_numpy(rng.multinomial(images, np.full(images, 1 / images), count))
        mine, other = (
            mean_iou(torch.tensordot(weights.double(), counts, 1), missing_classes)
            for counts in (first, second)
        )
        scores.append(mine)
        differences.append(mine - other)
    return PairedBootstrap(
        float(mean_iou(first.sum(0), missing_classes)),
        float(mean_iou(second.sum(0), missing_classes)),
        _interval(torch.cat(differences), images),
        _interval(torch.cat(scores), images),
    )


def _interval(values: Tensor, images: int) -> tuple[float, float]:
    if images < 2:
        tail = 0.0
    else:
        tail = float(norm.cdf(-np.sqrt(images / (images - 1)) * t.ppf(0.975, images - 1)))
    low, high = np.quantile(values.numpy(), [tail, 1 - tail])
    return float(low), float(high)
