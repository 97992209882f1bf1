"""UniMatch: two mixed strong views, and dropout of features beside the weak view.

Yang, Qi, Feng, Zhang & Shi, "Revisiting weak-to-strong consistency in semi-supervised semantic
segmentation", CVPR 2023.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from ssseg.distributed import DistInfo
from ssseg.losses import gaussian_rampup, pixel_cross_entropy, trusted_from, weighted_mean
from ssseg.methods.base import Method, mixed_with_itself
from ssseg.methods.fixmatch import outside_box
from ssseg.methods.mean_teacher import Task, pictures_of
from ssseg.models.ema import EMA, labeling
from ssseg.models.segmenter import Segmenter
from ssseg.ops.dropout import feature_dropout
from ssseg.ops.mix import Mixed, next_in_ring, paste_all
from ssseg.types import IGNORE, Batch, Picture, Pseudo, Step, StepOutput, Unlabeled


class Labels(NamedTuple):
    """Pseudo-labels of the unlabeled images before mixing."""

    hard: Tensor
    """(B, H, W) int64, the argmax; IGNORE on padding."""
    trusted: Tensor
    """(B, H, W) float, 1 where the confidence is at least the threshold."""


class Seen(NamedTuple):
    """The student's logits (B, C, H, W) of images that are not mixed."""

    labeled: Tensor
    weak: Tensor
    dropped: Tensor
    """Of the weak view, decoded from features with dropout."""


class Streams(NamedTuple):
    """The student's logits (B, C, H, W) that learn from pseudo-labels, and the masks."""

    strong: Sequence[Tensor]
    """Of each mixed strong view."""
    dropped: Tensor
    """Of the weak view, decoded from features with dropout."""
    masks: Sequence[Tensor]
    """(B, 1, H, W) bool per strong view, True = this image's pixel."""


def labels_of(logits: Tensor, valid: Tensor, threshold: float) -> Labels:
    """Argmax and trust of logits (B, C, H, W), without gradient; `valid` is (B, H, W) bool."""
    conf, hard = logits.detach().softmax(1).max(1)
    return Labels(hard.where(valid, IGNORE), trusted_from(conf, threshold))


def targets_of(
    unlabeled: Unlabeled,
    own: Labels,
    partner: Labels,
    masks: Sequence[Tensor],
    devices: DistInfo,
) -> list[Mixed]:
    """The strong views, each mixed with the next image's by its mask, with labels and trust.

    Args:
        unlabeled: Images of the step; all views but the first are mixed.
        own: Labels for the pixels that an image keeps.
        partner: Labels for the pixels that are pasted.
        masks: (B, 1, H, W) bool per strong view, True = this image's pixel.
        devices: Devices that share the batch.
    """
    ours, theirs = (
        [Mixed(view, *labels, unlabeled.valid) for view in unlabeled.views[1:]]
        for labels in (own, partner)
    )
    return [
        paste_all(our, next_in_ring(their, devices), mask)
        for our, their, mask in zip(ours, theirs, masks, strict=True)
    ]


def consistency(logits: Tensor, target: Mixed, devices: DistInfo) -> Tensor:
    """The mean over valid pixels of trust x cross-entropy, a scalar; logits are (B, C, H, W)."""
    error = pixel_cross_entropy(logits, target.label)
    return weighted_mean(error, target.conf, target.valid, devices=devices)


@dataclass(eq=False, repr=False)
class UniMatch(Method):
    """Two strong views, and one with dropout of features, must match the weak view.

    `sup + strong_weight (strong_1 + strong_2) + feature_weight feature`, where each term is the
    mean over valid pixels of `[conf >= threshold] CE`. The student labels its images in the pass
    that it learns from; rectangles that are pasted into others it labels in eval mode.

    Args:
        threshold: Confidence from which a pseudo-label is trusted (code: 0.95 on VOC and COCO, 0 on
            Cityscapes).
        weight: Factor on all terms of unlabeled images.
        strong_weight: Weight of each of the two mixed strong views.
        feature_weight: Weight of the view with dropout of features.
        dropout: Probability that a channel of a feature map is dropped.
        box_probability: How often a rectangle of the partner is pasted into a strong view.
        use_teacher: Take all pseudo-labels from an EMA teacher instead of the student.
        decay: Decay of that teacher's moving average.
        warmup_steps: Supervised steps before the unlabeled terms start, part of all steps; a value
            below 1 is a share of the run. The paper starts from pretrained networks and uses 0.
        rampup_steps: Steps after the warm-up over which `weight` grows; below 1 a share of the run.
    """

    num_views: ClassVar[int] = 3

    threshold: float = 0.95
    weight: float = 1.0
    strong_weight: float = 0.25
    feature_weight: float = 0.5
    dropout: float = 0.5
    box_probability: float = 0.5
    use_teacher: bool = False
    decay: float = 0.996
    warmup_steps: float = 0.3
    rampup_steps: float = 0.0

    def setup(self, model: Segmenter) -> None:
        """Set the student and, with `use_teacher`, make its teacher."""
        super().setup(model)
        if self.use_teacher:
            self.teacher = EMA(model, self.decay)

    def after_step(self, step: Step) -> None:
        """Update the teacher."""
        if self.use_teacher:
            self.teacher.update(self.student, step.index)

    def batch_size_notices(self, labeled: int, unlabeled: int, devices: int = 1) -> list[str]:
        """A message if a step has no second unlabeled image to mix with."""
        return [mixed_with_itself(self)] if unlabeled < 2 else []

    def label(self, unlabeled: Unlabeled) -> Labels:
        """Pseudo-labels of the weak view in eval mode, from the teacher or else the student."""
        weak, valid = unlabeled.views[0], unlabeled.valid
        if self.use_teacher:
            return labels_of(self.teacher.label(weak, "running"), valid, self.threshold)
        with labeling(self.student, "running"):
            return labels_of(self.student(weak), valid, self.threshold)

    def see(self, labeled: Tensor, weak: Tensor, step: Step) -> Seen:
        """What the student predicts for labeled images and weak views, (B, C, H, W) each.

        The features of the weak view are decoded twice, without and with dropout, in one call.
        """
        student, first = self.student, len(labeled)
        feats = student.encode(torch.cat((labeled, weak)))
        dropped = feature_dropout([f[first:] for f in feats], self.dropout, generator=step.draws)
        joined = [torch.cat(pair) for pair in zip(feats, dropped, strict=True)]
        logits = student.upsample(student.decoder(joined), weak)
        return Seen(logits[:first], *logits[first:].chunk(2))

    def masks(self, unlabeled: Unlabeled, step: Step) -> list[Tensor]:
        """A mask (B, 1, H, W) bool per strong view, False inside the pasted rectangle."""
        valid, often = unlabeled.valid, self.box_probability
        return [outside_box(valid, often, step) for _ in unlabeled.views[1:]]

    def losses(self, batch: Batch, step: Step) -> StepOutput:
        """`sup` and, after the warm-up, `strong_1`, `strong_2` and `feature`."""
        (image, label), unlabeled = batch.labeled, batch.unlabeled
        warmup = step.length(self.warmup_steps)
        if step.index < warmup:
            return StepOutput({"sup": self.labeled_loss(self.student(image), label, step)})

        weak, valid = unlabeled.views[0], unlabeled.valid
        partner = self.label(unlabeled)
        seen = self.see(image, weak, step)
        own = partner if self.use_teacher else labels_of(seen.weak, valid, self.threshold)
        masks = self.masks(unlabeled, step)
        targets = targets_of(unlabeled, own, partner, masks, step.devices)
        strong = self.student(torch.cat([target.image for target in targets])).chunk(2)

        losses = {"sup": self.labeled_loss(seen.labeled, label, step)}
        streams = Streams(strong, seen.dropped, masks)
        losses |= self.unlabeled_terms(streams, unlabeled, own, targets, step)

        logs = {"trusted": weighted_mean(own.trusted, torch.ones_like(own.trusted), valid)}
        first = targets[0]
        pseudo = Pseudo(*own, valid, first.label, first.valid, strong[0].detach())
        return StepOutput(losses, logs, pseudo)

    def unlabeled_terms(
        self,
        streams: Streams,
        unlabeled: Unlabeled,
        own: Labels,
        targets: Sequence[Mixed],
        step: Step,
    ) -> dict[str, Tensor]:
        """Weighted terms of the strong views and of the view with dropout.

        Args:
            streams: The predictions that learn.
            unlabeled: Images of the step.
            own: Labels of the unmixed images.
            targets: Labels of the mixed strong views.
            step: The step with its number and devices.
        """
        done = step.index - step.length(self.warmup_steps)
        ramp = self.weight * gaussian_rampup(done, step.length(self.rampup_steps))
        unmixed = Mixed(unlabeled.views[0], *own, unlabeled.valid)
        first, second = (
            consistency(logits, target, step.devices)
            for logits, target in zip(streams.strong, targets, strict=True)
        )
        feature = consistency(streams.dropped, unmixed, step.devices)
        return {
            "strong_1": ramp * self.strong_weight * first,
            "strong_2": ramp * self.strong_weight * second,
            "feature": ramp * self.feature_weight * feature,
        }

    def pictures(self, batch: Batch, step: Step) -> list[Picture]:
        """The first strong view: input, partner, mask, mix, pseudo-label, trust, prediction."""
        if not batch.unlabeled.views:
            return []
        labels, masks = self.label(batch.unlabeled), self.masks(batch.unlabeled, step)
        target = targets_of(batch.unlabeled, labels, labels, masks, step.devices)[0]
        return pictures_of(self.student, batch.unlabeled, Task(target, masks[0]), step)
