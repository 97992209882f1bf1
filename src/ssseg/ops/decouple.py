"""Decoupling: the prediction of one image, from the prediction of a mix (GuidedMix-Net's PMG)."""

import torch
from torch import Tensor

from ssseg.types import IGNORE


def one_hot(label: Tensor, like: Tensor) -> Tensor:
    """Class ids as scores: 1 for the class, 0 for the others and where the label is IGNORE.

    Args:
        label: (B, H, W) int64 in [0, C), or IGNORE.
        like: (B, C, H, W) float, whose number of classes and dtype are taken.

    Returns:
        (B, C, H, W).
    """
    classes = like.shape[1]
    place = torch.where(label == IGNORE, classes, label)[:, None]
    room = like.new_zeros(len(label), classes + 1, *label.shape[1:])
    return room.scatter(1, place, 1.0)[:, :classes]


def decouple_prediction(
    mixed: Tensor, labeled: Tensor, share: Tensor, remainder: Tensor | None = None
) -> Tensor:
    """The scores of the unlabeled image x_u in a mix: `(M_mix - share * M_l) / remainder`.

    GuidedMix-Net, Eq. 7 (hard: share 1) and Eq. 8 (soft: share lam). For a linear network and soft
    shares the difference is exactly `(1 - lam) M_u`. The paper keeps the factor `1 - lam`; a
    `remainder` of `1 - lam` removes it.

    Args:
        mixed: (B, C, H, W) float, scores of `lam * x_l + (1 - lam) * x_u`.
        labeled: (B, C, H, W) float, scores of the labeled image x_l.
        share: (B,) float, the factor of `labeled`.
        remainder: (B,) float, the divisor of the difference. None: no division.

    Returns:
        (B, C, H, W) float.
    """
    result = mixed - share.to(mixed.dtype).view(-1, 1, 1, 1) * labeled
    if remainder is not None:
        result = result / remainder.to(mixed.dtype).view(-1, 1, 1, 1)
    return result


def as_distribution(scores: Tensor) -> Tensor:
    """Make decoupled scores a distribution: negative scores become 0, each pixel sums to 1.

    A pixel without a positive score becomes uniform. This happens in hard decoupling where both
    images have the same class (the paper: "may counteract the prediction of the overlapping
    region").

    Args:
        scores: (B, C, H, W) float, decoupled probabilities.

    Returns:
        (B, C, H, W) float, each pixel sums to 1.
    """
    positive = scores.clamp_min(0) + 1e-6
    return positive / positive.sum(1, keepdim=True)
