"""Perturbations of feature maps (Ouali et al., CVPR 2020, section 3.2)."""

import torch
from torch import Tensor

from ssseg.ops.random import Rng, uniform


def feature_noise(feats: Tensor, limit: float = 0.3, *, generator: Rng = None) -> Tensor:
    """Noise in proportion to the features: `z + z * U(-limit, limit)`, drawn for every value.

    Args:
        feats: (B, D, h, w) float, the features z.
        limit: Largest share of a value that is added or taken away.
        generator: Source of randomness.
    """
    draw = 2 * uniform(feats.shape, generator, device=feats.device) - 1
    return feats * (1 + limit * draw).to(feats.dtype)


def feature_drop(
    feats: Tensor, share: tuple[float, float] = (0.7, 0.9), *, generator: Rng = None
) -> Tensor:
    """Set the most active positions to 0.

    These are the positions whose mean over the channels is above a share of the largest mean of the
    image; the share is drawn per image.

    Args:
        feats: (B, D, h, w) float.
        share: Range of the share.
        generator: Source of randomness.
    """
    mean = feats.detach().mean(1, keepdim=True)
    draw = uniform((len(feats), 1, 1, 1), generator, device=feats.device)
    level = (share[0] + (share[1] - share[0]) * draw).to(mean.dtype)
    return feats.masked_fill(mean > level * mean.amax((2, 3), keepdim=True), 0)


def foreground_box(foreground: Tensor, share: float = 0.4, *, generator: Rng = None) -> Tensor:
    """A random rectangle inside the bounding box of each image's foreground.

    Its sides are a share of the sides of the bounding box; a cell is inside if its centre is. An
    image without foreground has none.

    Args:
        foreground: (B, h, w) bool.
        share: Of each side, in [0, 1].
        generator: Source of randomness.

    Returns:
        (B, 1, h, w) bool, True inside.
    """
    draw = uniform((len(foreground), 2), generator, device=foreground.device)
    inside = []
    for axis, place in ((2, draw[:, :1]), (1, draw[:, 1:])):
        found = foreground.any(axis)
        cells = torch.arange(found.shape[1], device=found.device)
        first = torch.where(found, cells, len(cells)).amin(1, keepdim=True)
        end = torch.where(found, cells + 1, 0).amax(1, keepdim=True)
        side = (end - first).clamp_min(0)
        start = first + place * (1 - share) * side
        centre = cells + 0.5
        inside.append((centre >= start) & (centre < start + share * side))
    rows, columns = inside
    return (rows[:, :, None] & columns[:, None, :])[:, None]
