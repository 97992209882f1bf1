"""Thresholds of classes from histograms of their confidence."""

import torch
from torch import Tensor


def confidence_histogram(
    conf: Tensor, hard: Tensor, valid: Tensor, num_classes: int, bins: int
) -> Tensor:
    """How many pixels of each predicted class have which confidence, (C, bins) int64.

    Args:
        conf: (B, H, W) float in [0, 1].
        hard: (B, H, W) int64 in [0, C), the predicted classes.
        valid: (B, H, W) bool; other pixels do not count.
        num_classes: Number of classes C.
        bins: Number of bins, of equal width between 0 and 1.
    """
    place = hard * bins + (conf * bins).long().clamp(0, bins - 1)
    counts = torch.zeros(num_classes * bins, dtype=torch.int64, device=conf.device)
    return counts.index_add(0, place.flatten(), valid.flatten().long()).view(num_classes, bins)


def class_levels(counts: Tensor, share: float) -> Tensor:
    """The confidence of each class above which lies a share of its pixels, (C,) float.

    It is the lower edge of the highest bin for which the bin and those above hold the share; 0 for
    a class whose share is less than one pixel.

    Args:
        counts: (C, bins) float, pixels of each class per bin of confidence.
        share: In (0, 1]. With 1, no counted pixel is below the level.
    """
    above = counts.flip(1).cumsum(1).flip(1)
    wanted = share * above[:, :1]
    bin_of = (above >= wanted).sum(1) - 1
    level = bin_of / counts.shape[1]
    return torch.where(wanted[:, 0] < 1, 0.0, level).to(counts.dtype)
