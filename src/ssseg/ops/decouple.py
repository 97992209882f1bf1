"""Taking the prediction of one image out of the prediction of a mix (GuidedMix-Net's PMG)."""

from typing import Literal

from torch import Tensor

Space = Literal["logits", "relu_logits", "probs"]
"""What a "mask" M of the paper is: logits, their positive part, or probabilities."""


def to_scores(logits: Tensor, space: Space) -> Tensor:
    """Logits (B, C, H, W) as the scores of a space; same shape."""
    if space == "probs":
        return logits.softmax(1)
    return logits.relu() if space == "relu_logits" else logits


def decouple_prediction(
    mixed: Tensor, labeled: Tensor, share: Tensor, remainder: Tensor | None = None
) -> Tensor:
    """`(M_mix - share * M_l) / remainder`: what the prediction of a mix says of the other image.

    GuidedMix-Net, Eq. 7 (hard: share 1) and Eq. 8 (soft: share lam). For a linear network and soft
    shares the difference is exactly `(1 - lam) M_u`; the paper leaves that factor in, a
    `remainder` of `1 - lam` takes it out.

    Args:
        mixed: (B, C, H, W) scores of `lam * x_l + (1 - lam) * x_u`.
        labeled: (B, C, H, W) scores of x_l.
        share: (B,) how much of them is subtracted.
        remainder: (B,) what the difference is divided by. None: nothing.

    Returns:
        (B, C, H, W).
    """
    result = mixed - share.to(mixed.dtype).view(-1, 1, 1, 1) * labeled
    if remainder is not None:
        result = result / remainder.to(mixed.dtype).view(-1, 1, 1, 1)
    return result


def as_distribution(scores: Tensor) -> Tensor:
    """Decoupled probabilities as probabilities: negative ones are 0, each pixel sums to 1.

    A pixel where nothing positive is left becomes uniform (hard decoupling where both images hold
    the same class: "may counteract the prediction of the overlapping region", as the paper says).

    Args:
        scores: (B, C, H, W).
    """
    positive = scores.clamp_min(0) + 1e-6
    return positive / positive.sum(1, keepdim=True)
