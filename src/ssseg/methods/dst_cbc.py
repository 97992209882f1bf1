"""DST-CBC: self-training with a class-balanced curriculum, in an online form.

Feng, Zhou, Cheng, Tan, Shi & Ma, "Semi-supervised semantic segmentation via dynamic self-training
and class-balanced curriculum", 2020.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, cast

import torch
from torch import Tensor

from ssseg.losses import Denominator, confidence_weight, pixel_cross_entropy, weighted_mean
from ssseg.methods.fixmatch import FixMatch
from ssseg.methods.mean_teacher import Task
from ssseg.models.segmenter import Segmenter
from ssseg.ops.histogram import class_levels, confidence_histogram
from ssseg.ops.mix import Mixed
from ssseg.types import IGNORE, Batch, Picture, Step

BINS = 1000
"""Bins of the histogram of the confidence of each class."""


@dataclass(eq=False, repr=False)
class DSTCBC(FixMatch):
    """The teacher's most confident pixels of every class are labels; their share grows by stages.

    `unsup = sum over trusted pixels of p**gamma CE / number of trusted pixels`, with p the
    student's own probability of the label, without gradient. The published form labels all images
    anew before each of five short trainings; here an EMA teacher labels in every step, and the
    confidences of each class are counted over the last steps.

    Args:
        stages: Number of stages K. In stage k the share of each class that is trusted is k / K. The
            stages divide the steps after the warm-up equally.
        gamma: How much less a label counts that the student does not believe. Published: 9 in
            DST-CBC; 5 on VOC and 3 on Cityscapes in its successor DMT.
        momentum: Of the counts of confidences.
        threshold: Confidence below which no pixel is trusted; none in the paper.
        box_probability: How often a rectangle of the partner is pasted; the paper does not mix.
        denominator: `trusted`: the mean is over trusted pixels.
    """

    num_views: ClassVar[int] = 1
    replicated: ClassVar[Sequence[str]] = ("counts",)

    stages: int = 5
    gamma: float = 5.0
    momentum: float = 0.99
    threshold: float = 0.0
    box_probability: float = 0.0
    loss: Literal["cross_entropy"] = "cross_entropy"
    denominator: Denominator = "trusted"

    def setup(self, model: Segmenter) -> None:
        """Set student and teacher, and an empty histogram."""
        super().setup(model)
        self.register_buffer("counts", torch.zeros(model.num_classes, BINS))

    def share(self, step: Step) -> float:
        """The share of each class that is trusted in this step."""
        warmup = step.length(self.warmup_steps)
        done = (step.index - warmup) / max(1, step.total - warmup)
        return min(1.0, (1 + math.floor(self.stages * done)) / self.stages)

    def task(self, batch: Batch, step: Step) -> Task:
        """Pseudo-labels of the weak view, which are counted; a share of each class is trusted."""
        unlabeled, counts = batch.unlabeled, cast(Tensor, self.counts)
        conf, hard = self.probabilities(unlabeled).max(1)
        found = confidence_histogram(conf, hard, unlabeled.valid, *counts.shape)
        counts.mul_(self.momentum).add_(step.devices.total(found))
        level = class_levels(counts, self.share(step)).clamp_min(self.threshold)
        trusted = (conf >= level[hard]).to(conf.dtype)
        hard = hard.where(unlabeled.valid, IGNORE)
        sample = Mixed(unlabeled.views[-1], hard, trusted, unlabeled.valid)
        task = self.combine(sample, hard, step, batch.labeled)
        return task._replace(label=hard, trusted=trusted)

    def consistency(self, logits: Tensor, target: Mixed, step: Step) -> Tensor:
        """The weighted mean of the loss of the student's logits (B, C, H, W), a scalar."""
        error = pixel_cross_entropy(logits, target.label)
        believed = (-self.gamma * error.detach()).exp()  # p**gamma
        trust = confidence_weight(target.conf, target.valid, self.conf_weight, step.devices)
        return weighted_mean(believed * error, trust, target.valid, self.denominator, step.devices)

    def batch_size_notices(self, labeled: int, unlabeled: int, devices: int = 1) -> list[str]:
        """A message if a rectangle would be pasted into its own image."""
        return super().batch_size_notices(labeled, unlabeled) if self.box_probability else []

    def pictures(self, batch: Batch, step: Step) -> list[Picture]:
        """Those of every mean teacher; the histogram stays as it is."""
        counts = cast(Tensor, self.counts)
        before = counts.clone()
        columns = super().pictures(batch, step)
        counts.copy_(before)
        return columns
