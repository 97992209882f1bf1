"""AdvSemiSeg: a critic tells ground truth from predictions, pixel by pixel.

Hung, Tsai, Liou, Lin & Yang, "Adversarial learning for semi-supervised semantic segmentation",
BMVC 2018. Written without the authors' code.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from ssseg.distributed import DistInfo
from ssseg.losses import pixel_cross_entropy, trusted_from, weighted_mean
from ssseg.methods.base import Method
from ssseg.models.critics import PixelCritic, without_gradient
from ssseg.models.ema import labeling
from ssseg.models.segmenter import Segmenter
from ssseg.ops.decouple import one_hot
from ssseg.types import IGNORE, Batch, Picture, Pseudo, Step, StepOutput


def taken_for(truth: bool, judged: Tensor, counted: Tensor, devices: DistInfo) -> Tensor:
    """Binary cross-entropy of a critic's logits, mean over the pixels that count.

    Args:
        truth: What the critic should say.
        judged: (B, H, W) float, logits, high for ground truth.
        counted: (B, H, W) bool.
        devices: Devices that share the batch.

    Returns:
        Scalar.
    """
    error = F.softplus(-judged if truth else judged)
    return weighted_mean(error, torch.ones_like(error), counted, devices=devices)


def self_training(
    terms: dict[str, Tensor],
    weight: float | None,
    logits: Tensor,
    trusted: Tensor,
    valid: Tensor,
    devices: DistInfo,
) -> StepOutput:
    """The terms with `semi`: the student's own argmax where a critic takes it for ground truth.

    Args:
        terms: The other terms of the step.
        weight: Of `semi`, a mean over trusted pixels; None: there is none yet.
        logits: (B, C, H, W) float, of unlabeled images.
        trusted: (B, H, W) float, 1 where the critic does, else 0.
        valid: (B, H, W) bool.
        devices: Devices that share the batch.
    """
    hard = logits.argmax(1)
    if weight is not None:
        error = pixel_cross_entropy(logits, hard)
        semi = weight * weighted_mean(error, trusted, valid, "trusted", devices)
        terms = {**terms, "semi": semi}
    said = hard.where(valid, IGNORE)
    logs = {"trusted": weighted_mean(trusted, torch.ones_like(trusted), valid)}
    return StepOutput(terms, logs, Pseudo(said, trusted, valid, hard, valid, logits.detach()))


def columns_of(image: Tensor, said: Tensor, credible: Tensor, trusted: Tensor) -> list[Picture]:
    """Columns of a sample picture of a method with a critic.

    Args:
        image: (B, C, H, W) float.
        said: (B, H, W) int64, the student's prediction.
        credible: (B, H, W) float, the critic's probability of ground truth.
        trusted: (B, H, W) float.
    """
    return [
        Picture("input", "image", image),
        Picture("student prediction", "label", said),
        Picture("taken for ground truth", "mask", credible),
        Picture("trusted pixels", "mask", trusted),
    ]


@dataclass(eq=False, repr=False)
class AdvSemiSeg(Method):
    """The student's predictions must look like ground truth to a critic, which learns to tell them.

    The critic sees maps of class probabilities and no image. Terms: `sup`; `sup_adv` and `adv`, by
    which predictions of labeled and unlabeled images are to be taken for ground truth; `semi`, the
    cross-entropy against the student's own argmax on pixels of unlabeled images that the critic
    takes for ground truth; `critic`, which trains the critic.

    Args:
        weight: Of `semi`.
        threshold: Probability of being ground truth from which the critic's pixels are trusted.
        adv_weight: Of `adv`.
        sup_adv_weight: Of `sup_adv`. The README of the released code has 0.01, its default is 0.1.
        warmup_steps: Steps before `semi` starts, part of all steps; a value below 1 is a share of
            the run. Published: 5,000 of 20,000. All other terms start at once.
    """

    num_views: ClassVar[int] = 1
    parts: ClassVar[Mapping[str, float]] = {"critic": 0.1}

    weight: float = 0.1
    threshold: float = 0.2
    adv_weight: float = 0.001
    sup_adv_weight: float = 0.01
    warmup_steps: float = 0.25

    def setup(self, model: Segmenter) -> None:
        """Set the student; add the critic."""
        super().setup(model)
        self.critic = PixelCritic(model.num_classes)

    def losses(self, batch: Batch, step: Step) -> StepOutput:
        """All terms; `semi` after the warm-up."""
        (image, label), unlabeled, devices = batch.labeled, batch.unlabeled, step.devices
        weak, valid, known, count = unlabeled.views[0], unlabeled.valid, label != IGNORE, len(image)
        ours, theirs = self.student(image), self.student(weak)
        probs, shown = torch.cat((ours, theirs)).softmax(1), torch.cat((known, valid))
        # the critic never sees what stands at pixels that do not count, in truth or prediction
        probs = probs * shown[:, None]
        judged = without_gradient(self.critic, probs)
        terms = {
            "sup": self.labeled_loss(ours, label, step),
            "sup_adv": self.sup_adv_weight * taken_for(True, judged[:count], known, devices),
            "adv": self.adv_weight * taken_for(True, judged[count:], valid, devices),
        }
        seen = self.critic(torch.cat((probs.detach(), one_hot(label, probs))))
        fake, real = seen[: len(probs)], seen[len(probs) :]
        terms["critic"] = 0.5 * taken_for(False, fake, shown, devices)
        terms["critic"] = terms["critic"] + 0.5 * taken_for(True, real, known, devices)

        trusted = trusted_from(judged[count:].detach().sigmoid(), self.threshold)
        weight = self.weight if step.index >= step.length(self.warmup_steps) else None
        return self_training(terms, weight, theirs, trusted, valid, devices)

    def pictures(self, batch: Batch, step: Step) -> list[Picture]:
        """Input, the student's prediction, and the critic's probabilities of ground truth."""
        if not batch.unlabeled.views:
            return []
        weak, valid = batch.unlabeled.views[0], batch.unlabeled.valid
        with labeling(self):
            probs = self.student(weak).softmax(1)
            judged = self.critic(probs * valid[:, None]).sigmoid()
        said = probs.argmax(1).where(valid, IGNORE)
        trusted = trusted_from(judged, self.threshold) * valid
        return columns_of(weak, said, judged * valid, trusted)
