"""Correlation of all positions of a feature map, which carries logits from one to another."""

import math
from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from ssseg.models.layers import conv_bn_relu, full
from ssseg.ops.photometric import full_precision

CHANNELS = 256
"""Channels of the projected features."""
DROPOUT = 0.1
"""Probability that `Dropout2d` sets a channel to 0."""


class CorrelationHead(nn.Module):
    """Similarity of every position of a feature map to all others (Sun et al., CVPR 2024).

    `A = softmax_j(f1_i . f2_j / sqrt(C))` with f1, f2 two projections to C channels, C being the
    number of classes.

    Args:
        channels: Channels of the feature map.
        num_classes: Number of classes C.
    """

    def __init__(self, channels: int, num_classes: int) -> None:
        super().__init__()
        self.project = nn.Sequential(conv_bn_relu(channels, CHANNELS, 3), nn.Dropout2d(DROPOUT))
        self.first = nn.Conv2d(CHANNELS, num_classes, 1)
        # a bias adds the same number to all scores of a softmax, without effect
        self.second = nn.Conv2d(CHANNELS, num_classes, 1, bias=False)

    def forward(self, feats: Tensor) -> Tensor:
        """(B, channels, h, w) -> similarities (B, h * w, h * w) float, rows sum to 1."""
        projected = self.project(feats)
        first, second = (full(part(projected)).flatten(2) for part in (self.first, self.second))
        with full_precision(feats.device):
            scores: Tensor = first.mT @ second
        return (scores / math.sqrt(first.shape[1])).softmax(2)


def carried(
    logits: Tensor, similarity: Tensor, grid: tuple[int, int], how: Literal["sum", "mean"]
) -> Tensor:
    """Logits that every position gets from all positions; no gradient to the logits themselves.

    Args:
        logits: (B, C, h, w) float; they are resized to the grid.
        similarity: (B, N, N) float, rows sum to 1.
        grid: Rows and columns of the N positions.
        how: `sum`: position j gets `sum_i logits_i A_ij`, as in the released code; the weights of a
            position do not sum to 1. `mean`: position i gets `sum_j A_ij logits_j`.

    Returns:
        (B, C, *grid) float.
    """
    values = F.interpolate(logits.detach(), grid, mode="bilinear", align_corners=False)
    with full_precision(values.device):
        out: Tensor = full(values).flatten(2) @ (similarity if how == "sum" else similarity.mT)
    return out.view(*out.shape[:2], *grid)
