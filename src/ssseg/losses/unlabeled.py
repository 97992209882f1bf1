"""Losses of unlabeled images, per pixel, and how their pixels count."""

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from ssseg.distributed import SINGLE, DistInfo
from ssseg.types import IGNORE

ConfidenceWeight = Literal["image", "batch", "pixel", "none"]
ConsistencyLoss = Literal["cross_entropy", "soft_cross_entropy", "squared_error"]
Denominator = Literal["valid", "all", "trusted"]


def pixel_cross_entropy(logits: Tensor, label: Tensor) -> Tensor:
    """Cross-entropy of every pixel against hard labels, 0 where IGNORE. (B, H, W)."""
    return F.cross_entropy(logits, label, ignore_index=IGNORE, reduction="none")


def pixel_soft_cross_entropy(logits: Tensor, probs: Tensor) -> Tensor:
    """Cross-entropy of every pixel against target probabilities (B, C, H, W). (B, H, W).

    Raises:
        ValueError: For class ids where probabilities belong.
    """
    _same_shape(logits, probs)
    return F.cross_entropy(logits, probs, reduction="none")


def pixel_squared_error(
    logits: Tensor, probs: Tensor, classes: Literal["sum", "mean"] = "sum"
) -> Tensor:
    """Squared difference of the softmax from target probabilities. (B, H, W).

    Args:
        logits: (B, C, H, W) float.
        probs: (B, C, H, W) float, each pixel summing to 1.
        classes: Sum over the classes (French et al.'s code) or their mean (PixelSSL, CCT).

    Raises:
        ValueError: For class ids where probabilities belong, which some shapes would let pass.
    """
    _same_shape(logits, probs)
    error = (logits.softmax(1) - probs).square()
    return error.sum(1) if classes == "sum" else error.mean(1)


def _same_shape(logits: Tensor, probs: Tensor) -> None:
    if logits.shape != probs.shape:
        raise ValueError(
            f"probs has shape {tuple(probs.shape)}, expected that of logits {tuple(logits.shape)}"
        )


def pixel_sigmoid_focal(
    logits: Tensor, label: Tensor, gamma: float = 0.5, alpha: float = 0.5
) -> Tensor:
    """Sigmoid focal loss against hard labels, mean over the classes. (B, H, W).

    `-a (1 - p)^gamma log p` per class, with p the probability given to the truth of "is it this
    class" and a = alpha where it is, 1 - alpha where it is not (Lin et al., ICCV 2017, Eq. 5).

    Args:
        logits: (B, C, H, W) float.
        label: (B, H, W) int64 in [0, C).
        gamma: Focus on hard pixels. The default is GuidedMix-Net's released code.
        alpha: Weight of the true class against the others. The default is the same code.
    """
    truth = torch.zeros_like(logits).scatter(1, label[:, None], 1.0)
    towards = logits * (2 * truth - 1)
    balance = alpha * truth + (1 - alpha) * (1 - truth)
    # torchvision's raises 1 - p to gamma, whose slope is infinite at p = 1 for gamma below 1
    focus = (gamma * F.logsigmoid(-towards)).exp()
    return (-balance * focus * F.logsigmoid(towards)).mean(1)


def trusted_from(conf: Tensor, threshold: float) -> Tensor:
    """1.0 where a confidence is at least the threshold, else 0.0.

    Not in half precision, in which sums over an image are no longer exact.
    """
    return (conf >= threshold).to(torch.promote_types(conf.dtype, torch.float32))


def confidence_weight(
    trusted: Tensor, valid: Tensor, mode: ConfidenceWeight, devices: DistInfo = SINGLE
) -> Tensor:
    """How much every pixel of an unlabeled image counts.

    Args:
        trusted: (B, H, W) float in [0, 1], 1 where the pseudo-label's confidence passes.
        valid: (B, H, W) bool.
        mode: `image` the trusted share of each image (the ClassMix paper); `batch` one share for
            the whole batch (the released ClassMix, CutMix-Seg and PixelSSL code); `pixel` only
            trusted pixels count, fully; `none` every pixel does.
        devices: That the batch is spread over; the share of a `batch` is that of all of it.

    Returns:
        (B, H, W) float in [0, 1].
    """
    if mode == "pixel":
        return trusted
    if mode == "none":
        return torch.ones_like(trusted)
    dims = (1, 2) if mode == "image" else (0, 1, 2)
    count = valid.sum(dims, keepdim=True)
    sure = (trusted * valid).sum(dims, keepdim=True)
    if mode == "batch":
        sure, count = devices.total(sure), devices.total(count)
    return (sure / count.clamp_min(1)).expand_as(trusted)


def weighted_mean(
    loss: Tensor,
    weight: Tensor,
    valid: Tensor,
    denominator: Denominator = "valid",
    devices: DistInfo = SINGLE,
) -> Tensor:
    """Mean of a loss map over an explicit count; invalid pixels add nothing.

    Args:
        loss: (B, H, W) float.
        weight: (B, H, W) float.
        valid: (B, H, W) bool.
        denominator: `valid` counts the valid pixels, `all` every pixel, padding too (the released
            ClassMix code), `trusted` the sum of the weights (so the weights change who counts,
            not how much the term counts).
        devices: That the batch is spread over; the count is that of all of it.
    """
    weight = weight * valid
    # selected, not multiplied: what stands at an invalid pixel may be infinite
    total = (loss.masked_fill(~valid, 0) * weight).sum()
    if denominator == "all":
        return total / max(1, loss.numel())
    count = valid.sum() if denominator == "valid" else weight.sum()
    return total / devices.denominator(count)


def gaussian_rampup(done: float, length: float) -> float:
    """`exp(-5 (1 - t)^2)` with t = done / length clipped to [0, 1] (Laine & Aila, ICLR 2017)."""
    if length <= 0:
        return 1.0
    return math.exp(-5.0 * (1.0 - min(1.0, max(0.0, done / length))) ** 2)
