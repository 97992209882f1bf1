"""CorrMatch: labels that spread over regions of similar features.

Sun, Yang, Zhang, Cheng & Hou, "CorrMatch: label propagation via correlation matching for
semi-supervised semantic segmentation", CVPR 2024. Written without the authors' code.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from ssseg.distributed import DistInfo
from ssseg.losses import gaussian_rampup, pixel_cross_entropy, weighted_mean
from ssseg.methods.base import Method, mixed_with_itself
from ssseg.methods.fixmatch import outside_box
from ssseg.models.correlation import CorrelationHead, carried
from ssseg.models.ema import labeling
from ssseg.models.segmenter import Segmenter
from ssseg.ops.dropout import feature_dropout
from ssseg.ops.mix import Mixed, next_in_ring, paste_all
from ssseg.ops.regions import random_regions, region_labels
from ssseg.types import IGNORE, Batch, Picture, Pseudo, Step, StepOutput, Unlabeled

SIDE = 128
"""Regions are made of every k-th pixel, so that a side has at most this many of them."""


class Seen(NamedTuple):
    """What the student and the head compute of images."""

    logits: Tensor
    """(B, C, H, W) float."""
    carried: Tensor
    """(B, C, H, W) float, logits that the correlation carries to each position."""
    similarity: Tensor
    """(B, h * w, h * w) float."""
    grid: tuple[int, int]
    """h and w of the deepest features."""

    def split(self, count: int) -> "tuple[Seen, Seen]":
        """That of the first images, and that of the others."""
        logits, carried, similarity, grid = self
        return (
            Seen(logits[:count], carried[:count], similarity[:count], grid),
            Seen(logits[count:], carried[count:], similarity[count:], grid),
        )


def class_confidence(conf: Tensor, hard: Tensor, valid: Tensor, num_classes: int) -> Tensor:
    """The largest confidence of each class that is predicted, (C,) float; 0 for other classes.

    Args:
        conf: (B, H, W) float in (0, 1].
        hard: (B, H, W) int64, the predicted classes.
        valid: (B, H, W) bool; other pixels do not count.
        num_classes: Number of classes C.
    """
    none = torch.zeros(num_classes, dtype=conf.dtype, device=conf.device)
    return none.scatter_reduce(0, hard.flatten(), (conf * valid).flatten(), "amax")


def spread(
    target: Mixed, trusted: Tensor, own: Tensor, seen: Seen, level: Tensor, count: int, step: Step
) -> Mixed:
    """Mixed images after regions of similar features took the label of their trusted pixels.

    Args:
        target: Mixed images with hard labels.
        trusted: (B, H, W) bool.
        own: (B, H, W) bool, pixels that are not pasted; only these change.
        seen: What the student computes of the images before mixing.
        level: Scalar, see `region_labels`.
        count: Random regions per image.
        step: The step with its generator.

    Returns:
        The images with new labels; `conf` is 1 where they are trusted.
    """
    if not count:
        return target._replace(conf=trusted.to(target.conf.dtype))
    height, width = own.shape[1:]
    k = -(-max(height, width) // SIDE)
    label, sure, mine = (part[:, ::k, ::k] for part in (target.label, trusted, own & target.valid))
    size, classes = (mine.shape[1], mine.shape[2]), seen.logits.shape[1]
    regions = random_regions(seen.similarity, seen.grid, size, count, generator=step.draws)
    found, covered = (
        part.repeat_interleave(k, 1).repeat_interleave(k, 2)[:, :height, :width]
        for part in region_labels(label, sure, regions & mine[:, None], level, classes)
    )
    covered = covered & own & target.valid
    conf = (trusted | covered).to(target.conf.dtype)
    return target._replace(label=torch.where(covered, found, target.label), conf=conf)


@dataclass(eq=False, repr=False)
class CorrMatch(Method):
    """A head learns which positions have similar features, and labels spread over these regions.

    The similarities also carry logits between positions (`corr_...`). The threshold is learned: the
    mean over the classes of a batch of their largest confidence, averaged over steps. Terms: `sup`,
    `sup_corr`, `strong` (mixed strong view, labels of regions), `kl` (the probabilities of the weak
    view, mixed like the image), `feature` (weak view with dropout of features), `corr_strong`,
    `corr_weak`. Those of unlabeled images are means over valid pixels of the errors of trusted
    ones. The supervised terms have a weight of 1/2 each.

    Args:
        threshold: Confidence from which a pseudo-label is trusted, at the start.
        momentum: Of the average of the threshold; 1 keeps it constant.
        weight: Factor on all terms of unlabeled images.
        strong_weight: Weight of `strong`.
        kl_weight: Weight of `kl`.
        feature_weight: Weight of `feature`.
        corr_weight: Weight of `corr_strong` and of `corr_weak`.
        regions: Random regions per image; 0: labels do not spread.
        carry: How similarities carry logits, see `ssseg.models.correlation.carried`; `sum` in the
            released code.
        dropout: Probability that a channel of a feature map is dropped.
        box_probability: How often a rectangle of the partner is pasted into the strong view.
        warmup_steps: Supervised steps before the unlabeled terms start, part of all steps; a value
            below 1 is a share of the run. The code starts from pretrained encoders and has none.
        rampup_steps: Steps after the warm-up over which `weight` grows; below 1 a share of the run.
    """

    num_views: ClassVar[int] = 2
    replicated: ClassVar[Sequence[str]] = ("level",)

    threshold: float = 0.85
    momentum: float = 0.999
    weight: float = 1.0
    strong_weight: float = 0.25
    kl_weight: float = 0.25
    feature_weight: float = 0.25
    corr_weight: float = 0.125
    regions: int = 128
    carry: Literal["sum", "mean"] = "sum"
    dropout: float = 0.5
    box_probability: float = 0.5
    warmup_steps: float = 0.3
    rampup_steps: float = 0.0

    def setup(self, model: Segmenter) -> None:
        """Set the student; add the head and the threshold."""
        super().setup(model)
        self.head = CorrelationHead(model.encoder.out_channels[-1], model.num_classes)
        self.register_buffer("level", torch.tensor(self.threshold))

    def losses(self, batch: Batch, step: Step) -> StepOutput:
        """The supervised terms and, after the warm-up, those of unlabeled images."""
        (image, label), unlabeled = batch.labeled, batch.unlabeled
        weak, valid, first = unlabeled.views[0], unlabeled.valid, len(image)
        warmup = step.length(self.warmup_steps)
        if step.index < warmup:
            return StepOutput(self._supervised(self.see(image, step)[0], label, step))

        partner = self.label(weak)
        seen, dropped = self.see(torch.cat((image, weak)), step, drop=len(weak))
        labeled, seen = seen.split(first)
        own = seen.logits.detach().softmax(1)
        conf, hard = own.max(1)
        level = self._learn_level(class_confidence(conf, hard, valid, own.shape[1]), step.devices)
        soft, mask = self.mixed(unlabeled, own, partner, step)
        target = soft._replace(label=soft.label.argmax(1))
        sure, trusted = conf >= level, (soft.conf >= level) & soft.valid
        region = spread(target, trusted, mask[:, 0], seen, level, self.regions, step)
        strong, _ = self.see(target.image, step)

        error, mixed = pixel_cross_entropy, target.valid
        kl = F.kl_div(strong.logits.log_softmax(1), soft.label, reduction="none").sum(1)
        corr = error(strong.carried, target.label)
        errors = {
            "strong": (self.strong_weight, error(strong.logits, region.label), region.conf, mixed),
            "kl": (self.kl_weight, kl, trusted, mixed),
            "feature": (self.feature_weight, error(dropped, hard), sure, valid),
            "corr_strong": (self.corr_weight, corr, trusted, mixed),
            "corr_weak": (self.corr_weight, error(seen.carried, hard), sure, valid),
        }
        terms = self._supervised(labeled, label, step)
        ramp = self.weight * gaussian_rampup(step.index - warmup, step.length(self.rampup_steps))
        for name, (weight, pixels, counted, where) in errors.items():
            mean = weighted_mean(pixels, counted.to(pixels.dtype), where, devices=step.devices)
            terms[name] = ramp * weight * mean

        share, said = sure.to(conf.dtype), hard.where(valid, IGNORE)
        logs = {"trusted": weighted_mean(share, torch.ones_like(share), valid), "threshold": level}
        pseudo = Pseudo(said, share, valid, region.label, mixed, strong.logits.detach())
        return StepOutput(terms, logs, pseudo)

    def label(self, weak: Tensor) -> Tensor:
        """Probabilities (B, C, H, W) for pixels that are pasted into others, in eval mode."""
        with labeling(self.student, "running"):
            logits: Tensor = self.student(weak)
            return logits.softmax(1)

    def see(self, images: Tensor, step: Step, drop: int = 0) -> tuple[Seen, Tensor]:
        """What is computed of images, and logits of the last `drop` ones with dropout."""
        student, count = self.student, len(images)
        feats = student.encode(images)
        similarity, grid = self.head(feats[-1]), (feats[-1].shape[2], feats[-1].shape[3])
        if drop:
            last = [level[-drop:] for level in feats]
            last = feature_dropout(last, self.dropout, generator=step.draws)
            feats = [torch.cat(pair) for pair in zip(feats, last, strict=True)]
        logits = student.decoder(feats)
        given = student.upsample(carried(logits[:count], similarity, grid, self.carry), images)
        logits = student.upsample(logits, images)
        return Seen(logits[:count], given, similarity, grid), logits[count:]

    def mixed(
        self, unlabeled: Unlabeled, own: Tensor, partner: Tensor, step: Step
    ) -> tuple[Mixed, Tensor]:
        """Strong views with a rectangle of the next image, mixed probabilities, and the mask."""
        strong, valid = unlabeled.views[1], unlabeled.valid
        mask = outside_box(valid, self.box_probability, step)
        ours, theirs = (Mixed(strong, p, p.amax(1), valid) for p in (own, partner))
        return paste_all(ours, next_in_ring(theirs, step.devices), mask), mask

    def _learn_level(self, largest: Tensor, devices: DistInfo) -> Tensor:
        """The threshold after a batch whose classes have these largest confidences."""
        largest = devices.gather(largest[None]).amax(0)
        level, seen = cast(Tensor, self.level), (largest > 0).sum()
        mean = largest.sum() / seen.clamp_min(1)
        # a batch without valid pixels does not count
        level.lerp_(torch.where(seen > 0, mean, level).to(level), 1 - self.momentum)
        return level.clone()

    def _supervised(self, seen: Seen, label: Tensor, step: Step) -> dict[str, Tensor]:
        return {
            "sup": self.labeled_loss(seen.logits, label, step) / 2,
            "sup_corr": self.labeled_loss(seen.carried, label, step) / 2,
        }

    def batch_size_notices(self, labeled: int, unlabeled: int, devices: int = 1) -> list[str]:
        """A message if a step has no second unlabeled image to mix with."""
        return [mixed_with_itself(self)] if unlabeled < 2 else []

    def pictures(self, batch: Batch, step: Step) -> list[Picture]:
        """Input, mask, mix, pseudo-label before and after regions, and the prediction."""
        if not batch.unlabeled.views:
            return []
        weak, level = batch.unlabeled.views[0], cast(Tensor, self.level)
        with labeling(self, "running"):
            seen, _ = self.see(weak, step)
            own = seen.logits.softmax(1)
            soft, mask = self.mixed(batch.unlabeled, own, own, step)
            prediction = self.student(soft.image).argmax(1)
        target = soft._replace(label=soft.label.argmax(1))
        trusted = (soft.conf >= level) & soft.valid
        region = spread(target, trusted, mask[:, 0], seen, level, self.regions, step)
        return [
            Picture("input", "image", weak),
            Picture("mask (white: input)", "mask", mask[:, 0].float()),
            Picture("student input", "image", target.image),
            Picture("pseudo-label", "label", target.label.where(target.valid, IGNORE)),
            Picture("label of regions", "label", region.label.where(target.valid, IGNORE)),
            Picture("trusted pixels", "mask", region.conf),
            Picture("student prediction", "label", prediction),
        ]
