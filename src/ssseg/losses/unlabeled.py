"""Losses of unlabeled images: loss maps per pixel, and the weights of pixels."""

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
    """Cross-entropy of every pixel, (B, H, W) float; 0 where the label is IGNORE.

    Args:
        logits: (B, C, H, W) float.
        label: (B, H, W) int64.
    """
    return F.cross_entropy(logits, label, ignore_index=IGNORE, reduction="none")


def pixel_soft_cross_entropy(logits: Tensor, probs: Tensor) -> Tensor:
    """Cross-entropy of every pixel against target probabilities, (B, H, W) float.

    Args:
        logits: (B, C, H, W) float.
        probs: (B, C, H, W) float, each pixel sums to 1.

    Raises:
        ValueError: If `probs` has another shape than `logits`, for example class ids.
    """
    _same_shape(logits, probs)
    return F.cross_entropy(logits, probs, reduction="none")


def pixel_squared_error(
    logits: Tensor, probs: Tensor, classes: Literal["sum", "mean"] = "sum"
) -> Tensor:
    """Squared difference of the softmax and target probabilities, (B, H, W) float.

    Args:
        logits: (B, C, H, W) float.
        probs: (B, C, H, W) float, each pixel sums to 1.
        classes: Sum over the classes (French et al.'s code) or mean over them (PixelSSL, CCT).

    Raises:
        ValueError: If `probs` has another shape than `logits`, for example class ids, which some
            shapes would broadcast.
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
    """Sigmoid focal loss of every pixel, mean over the classes, (B, H, W) float.

    `-a (1 - p)^gamma log p` per class (Lin et al., ICCV 2017, Eq. 5). For the class of the label, p
    is the sigmoid of its logit and a = alpha; for the others p is 1 minus the sigmoid and
    a = 1 - alpha.

    Args:
        logits: (B, C, H, W) float.
        label: (B, H, W) int64 in [0, C).
        gamma: Focusing parameter. The default is from GuidedMix-Net's released code.
        alpha: Weight of the label's class against the others. The default is from the same code.
    """
    truth = torch.zeros_like(logits).scatter(1, label[:, None], 1.0)
    towards = logits * (2 * truth - 1)
    balance = alpha * truth + (1 - alpha) * (1 - truth)
    # torchvision's function computes (1 - p)**gamma, whose slope at p = 1 is infinite for gamma < 1
    focus = (gamma * F.logsigmoid(-towards)).exp()
    return (-balance * focus * F.logsigmoid(towards)).mean(1)


def trusted_from(conf: Tensor, threshold: float) -> Tensor:
    """1.0 where the confidence is at least the threshold, else 0.0; same shape, at least float32.

    Half precision is not used, because sums over an image would be inexact.
    """
    return (conf >= threshold).to(torch.promote_types(conf.dtype, torch.float32))


def confidence_weight(
    trusted: Tensor, valid: Tensor, mode: ConfidenceWeight, devices: DistInfo = SINGLE
) -> Tensor:
    """The weight of every pixel of an unlabeled image in the loss.

    Args:
        trusted: (B, H, W) float in [0, 1], 1 where the confidence is at least the threshold.
        valid: (B, H, W) bool, False on padding.
        mode: `image`: the share of trusted pixels of each image (the ClassMix paper). `batch`: one
            share for the whole batch (the released ClassMix, CutMix-Seg and PixelSSL code).
            `pixel`: 1 for trusted pixels, 0 for others. `none`: 1 for every pixel.
        devices: Devices that share the batch; the share of `batch` is over all of them.

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
    """Weighted sum of a loss map, divided by an explicit count; invalid pixels add 0.

    Args:
        loss: (B, H, W) float.
        weight: (B, H, W) float.
        valid: (B, H, W) bool, False on padding.
        denominator: `valid`: the number of valid pixels. `all`: the number of all pixels with
            padding (the released ClassMix code). `trusted`: the sum of the weights, so that a
            smaller share of trusted pixels does not make the term smaller.
        devices: Devices that share the batch; the count is over all of them.

    Returns:
        Scalar.
    """
    weight = weight * valid
    # selected, not multiplied, because the loss at an invalid pixel may be infinite
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
