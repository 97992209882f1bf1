"""Losses of labeled images. Every loss is a finite scalar, also if no pixel is labeled.

On several devices each loss is computed over the whole batch: DDP averages the gradients of the
devices, and the result equals the gradient on one device.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from ssseg.distributed import SINGLE, DistInfo
from ssseg.errors import UserError, one_of
from ssseg.types import IGNORE

LossName = Literal["cross_entropy", "ohem", "dice", "focal"]
NAMES: tuple[LossName, ...] = get_args(LossName)
LARGEST_WEIGHT = 10.0
"""Largest class weight of `auto`; without it a class with few pixels would dominate the loss."""


def cross_entropy(
    logits: Tensor, label: Tensor, devices: DistInfo = SINGLE, weights: Tensor | None = None
) -> Tensor:
    """Cross-entropy, mean over the pixels that are not IGNORE; 0 if all pixels are IGNORE.

    Args:
        logits: (B, C, H, W) float.
        label: (B, H, W) int64.
        devices: Devices that share the batch; the mean is over the pixels of all of them.
        weights: (C,) float, weight of the pixels of each class; None: 1 for all classes.

    Returns:
        Scalar.
    """
    if weights is not None:
        weights = weights.to(logits)
    total = F.cross_entropy(logits, label, weights, ignore_index=IGNORE, reduction="sum")
    counted = label != IGNORE
    if weights is None:
        return total / devices.denominator(counted.sum())
    return total / devices.denominator((weights[label.where(counted, 0)] * counted).sum())


def class_presence_loss(logits: Tensor, label: Tensor, devices: DistInfo = SINGLE) -> Tensor:
    """Binary cross-entropy of "this class is in the image", mean over classes and images.

    The image-level loss of GuidedMix-Net (L_cla in Eq. 11). An image whose pixels are all IGNORE
    does not count.

    Args:
        logits: (B, C) float, one logit per image and class.
        label: (B, H, W) int64, the class maps that give the targets.
        devices: Devices that share the batch; the mean is over the images of all of them.

    Returns:
        Scalar.
    """
    flat = label.flatten(1)
    known = flat != IGNORE
    classes = logits.shape[1]
    found = torch.zeros(len(logits), classes + 1, dtype=logits.dtype, device=logits.device)
    found = found.scatter(1, torch.where(known, flat, classes), 1.0)[:, :classes]
    error = F.binary_cross_entropy_with_logits(logits, found, reduction="none").mean(1)
    counts = known.any(1)
    return (error * counts).sum() / devices.denominator(counts.sum())


def ohem_cross_entropy(
    logits: Tensor,
    label: Tensor,
    devices: DistInfo = SINGLE,
    *,
    threshold: float = 0.7,
    min_kept: float = 0.15,
    weights: Tensor | None = None,
) -> Tensor:
    """Cross-entropy of the hard pixels (online hard example mining), mean over them.

    A pixel is hard if the probability of its class is at most `threshold`. If the share of hard
    pixels among labeled pixels is below `min_kept`, the pixels with the next lowest probabilities
    are added.

    Args:
        logits: (B, C, H, W) float.
        label: (B, H, W) int64.
        devices: Devices that share the batch; the share is over the pixels of all of them.
        threshold: Largest probability of a hard pixel, in [0, 1].
        min_kept: Smallest share of labeled pixels that count, in [0, 1]. Published recipes give a
            number of pixels: 200,000 of 2 crops of 801 x 801, a share of 0.156.
        weights: (C,) float, weight of the pixels of each class; None: 1 for all classes.

    Returns:
        Scalar.
    """
    error = F.cross_entropy(logits, label, ignore_index=IGNORE, reduction="none")
    valid = label != IGNORE
    with torch.no_grad():
        prob = (-error).exp().masked_fill(~valid, 2.0)
        everywhere = devices.gather(prob.flatten()).sort().values
        wanted = (devices.total(valid.sum()) * min_kept).ceil().long().clamp_min(1)
        # gathered, not indexed: an index would have to be known on the host
        least = everywhere.gather(0, wanted[None] - 1)
        hard = valid & (prob <= least.clamp_min(threshold))
    return _mean(error, label, hard, devices, weights)


def focal_loss(
    logits: Tensor,
    label: Tensor,
    devices: DistInfo = SINGLE,
    *,
    gamma: float = 2.0,
    weights: Tensor | None = None,
) -> Tensor:
    """Focal loss of the softmax, `-(1 - p)^gamma log p`, mean over the labeled pixels.

    Lin et al., "Focal loss for dense object detection", ICCV 2017, Eq. 4, with p the softmax
    probability of the pixel's class.

    Args:
        logits: (B, C, H, W) float.
        label: (B, H, W) int64.
        devices: Devices that share the batch; the mean is over the pixels of all of them.
        gamma: Focusing parameter; 0 is the cross-entropy.
        weights: (C,) float, weight of the pixels of each class; None: 1 for all classes.

    Returns:
        Scalar.
    """
    error = F.cross_entropy(logits, label, ignore_index=IGNORE, reduction="none")
    valid = label != IGNORE
    # 1 - exp(-error), computed so that it is not rounded to 0, with a finite slope at 0
    unsure = -torch.expm1(-error.clamp_min(torch.finfo(error.dtype).tiny))
    return _mean(unsure.pow(gamma) * error, label, valid, devices, weights)


def dice_loss(
    logits: Tensor, label: Tensor, devices: DistInfo = SINGLE, *, weights: Tensor | None = None
) -> Tensor:
    """1 - Dice coefficient of the softmax, mean over the classes.

    Milletari et al., "V-Net", 3DV 2016. The sums of a class are over the labeled pixels of the
    whole batch. A class without labeled pixels in the batch adds 0, as in
    segmentation-models-pytorch, whose `DiceLoss` does not sum over devices.

    Args:
        logits: (B, C, H, W) float.
        label: (B, H, W) int64.
        devices: Devices that share the batch; the sums are over the pixels of all of them.
        weights: (C,) float, weights of the mean over classes; None: 1 for all classes.

    Returns:
        Scalar.
    """
    valid = (label != IGNORE)[:, None]
    probs = logits.softmax(1) * valid
    classes = label[:, None].where(valid, 0)
    truth = torch.zeros_like(probs).scatter(1, classes, 1.0) * valid
    both = _summed((probs * truth).sum((0, 2, 3)), devices)
    sizes = _summed((probs + truth).sum((0, 2, 3)), devices)
    present = devices.total(truth.sum((0, 2, 3))) > 0
    loss = (1 - 2 * both / sizes.clamp_min(1e-7)) * present
    if weights is None:
        return loss.mean()
    weights = weights.to(loss)
    return (loss * weights).sum() / weights.sum()


@dataclass(frozen=True)
class LabeledLoss:
    """The loss of labeled images, the term `sup` of all methods.

    Args:
        name: `cross_entropy`; `ohem`: cross-entropy of hard pixels; `focal`: pixels with a high
            probability of their class have less weight; `dice`: every class has the same weight.
        class_weights: A weight per class in the order of the class list, or `auto`: the median of
            the classes' shares of labeled pixels, divided by the share of the class, at most 10.
            None: 1 for all classes.
        threshold: Option of `ohem`: largest probability of its class at which a pixel is hard.
        min_kept: Option of `ohem`: smallest share of labeled pixels that count.
        gamma: Option of `focal`: the focusing parameter.

    Raises:
        UserError: For an unknown name, or a value out of range.
    """

    name: LossName = "cross_entropy"
    class_weights: Literal["auto"] | Sequence[float] | None = None
    threshold: float = 0.7
    min_kept: float = 0.15
    gamma: float = 2.0

    def __post_init__(self) -> None:
        if self.name not in NAMES:
            raise one_of("loss", self.name, list(NAMES))
        for option in ("threshold", "min_kept"):
            if not 0 <= getattr(self, option) <= 1:
                raise UserError(f"option loss.{option} is {getattr(self, option)}; expected 0 to 1")
        if self.gamma < 0:
            raise UserError(f"option loss.gamma is {self.gamma}; expected 0 or more")
        given = self.class_weights
        if given is None or given == "auto":
            return
        if isinstance(given, str):
            raise UserError(
                f"option loss.class_weights is {given!r}; expected auto, or a weight per class"
            )
        if any(weight < 0 for weight in given) or not any(given):
            raise UserError(
                f"option loss.class_weights is {list(given)}; expected weights of at least 0, one "
                "of them above 0"
            )

    def weights(self, pixels: Sequence[int] | None, num_classes: int) -> Tensor | None:
        """The weight of every class, (C,) float32; None if all weights are 1.

        Args:
            pixels: Number of labeled pixels of each class; None if unknown.
            num_classes: Number of classes C.

        Raises:
            UserError: For weights of another number of classes, or `auto` without counts.
        """
        given = self.class_weights
        if given is None:
            return None
        if not isinstance(given, str):
            if len(given) != num_classes:
                raise UserError(
                    f"option loss.class_weights has {len(given)} weights, but there are "
                    f"{num_classes} classes; give one weight per class"
                )
            return torch.tensor([float(weight) for weight in given])
        if pixels is None:
            raise UserError(
                "option loss.class_weights is auto, but this data module does not count the pixels "
                "of its classes; give a weight per class"
            )
        counts = torch.tensor(pixels, dtype=torch.float64)
        seen = counts[counts > 0]
        if not len(seen):
            return None
        # a class without labeled pixels has no loss, so its weight has no effect
        weights = torch.where(counts > 0, seen.median() / counts.clamp_min(1), 1.0)
        return weights.clamp_max(LARGEST_WEIGHT).float()

    def __call__(
        self,
        logits: Tensor,
        label: Tensor,
        devices: DistInfo = SINGLE,
        weights: Tensor | None = None,
    ) -> Tensor:
        """The loss of a batch, a scalar.

        Args:
            logits: (B, C, H, W) float.
            label: (B, H, W) int64; IGNORE where unknown.
            devices: Devices that share the batch.
            weights: The result of the method `weights`, on the device of the logits.
        """
        if self.name == "ohem":
            kept = {"threshold": self.threshold, "min_kept": self.min_kept}
            return ohem_cross_entropy(logits, label, devices, weights=weights, **kept)
        if self.name == "focal":
            return focal_loss(logits, label, devices, gamma=self.gamma, weights=weights)
        if self.name == "dice":
            return dice_loss(logits, label, devices, weights=weights)
        return cross_entropy(logits, label, devices, weights)


def _mean(
    error: Tensor, label: Tensor, counted: Tensor, devices: DistInfo, weights: Tensor | None
) -> Tensor:
    """Mean of a loss map over the pixels in `counted`, weighted by their classes."""
    share = counted.to(error.dtype)
    if weights is not None:
        share = share * weights.to(error)[label.where(counted, 0)]
    return (error * share).sum() / devices.denominator(share.sum())


def _summed(value: Tensor, devices: DistInfo) -> Tensor:
    """Sum over devices with gradient; the mean of the devices' gradients is that of the sum."""
    if devices.world_size == 1:
        return value
    others = devices.total(value) - value.detach()
    scaled = devices.world_size * value
    # the value is the sum; the gradient is scaled, because DDP divides by the number of devices
    return others + value.detach() + scaled - scaled.detach()
