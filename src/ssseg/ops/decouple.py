"""Decoupling: the prediction of one image, from the prediction of a mix (GuidedMix-Net's PMG)."""

from typing import Literal

from torch import Tensor

Space = Literal["logits", "relu_logits", "probs"]
"""The scores that the paper calls "mask" M: logits, their positive part, or probabilities."""


def to_scores(logits: Tensor, space: Space) -> Tensor:
    """Convert logits (B, C, H, W) to the scores of a space; same shape and dtype."""
    if space == "probs":
        return logits.softmax(1)
    return logits.relu() if space == "relu_logits" else logits


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
