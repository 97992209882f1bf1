"""Cross pseudo supervision (CPS).

Chen, Yuan, Zeng & Wang, "Semi-supervised semantic segmentation with cross pseudo supervision",
CVPR 2021.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple

import torch
from torch import Tensor, nn

from ssseg.losses import gaussian_rampup, pixel_cross_entropy
from ssseg.methods.base import Method, mixed_with_itself
from ssseg.models.ema import labeling
from ssseg.models.segmenter import Segmenter
from ssseg.ops.masks import box_mask
from ssseg.ops.mix import Mixed, next_in_ring, paste_all
from ssseg.types import IGNORE, Batch, Picture, Pseudo, Step, StepOutput, Unlabeled

AREA, BOXES = (0.25, 0.5), 3
"""Share of the image that a pasted box covers before it is scaled, and boxes per image."""


class Pair(NamedTuple):
    """Logits (B, C, H, W) or labels (B, H, W) of both networks for the same images."""

    student: Tensor
    peer: Tensor

    def labels(self) -> "Pair":
        """The most likely class of every pixel; no gradient."""
        return Pair(self.student.argmax(1), self.peer.argmax(1))

    def split(self, count: int) -> "tuple[Pair, Pair]":
        """Those of the first images, and those of the others."""
        return Pair(*(one[:count] for one in self)), Pair(*(one[count:] for one in self))


def cross_error(logits: Pair, labels: Pair, valid: Tensor) -> Tensor:
    """Cross-entropy of each network against the other's labels, summed over both and the pixels.

    Args:
        logits: (B, C, H, W) float.
        labels: (B, H, W) int64.
        valid: (B, H, W) bool; other pixels add 0.

    Returns:
        Scalar.
    """
    error = pixel_cross_entropy(logits.student, labels.peer)
    error = error + pixel_cross_entropy(logits.peer, labels.student)
    return error.masked_fill(~valid, 0).sum()


class Task(NamedTuple):
    """What both networks see of the unlabeled images of one step."""

    image: Tensor
    """(B, C, H, W) float."""
    valid: Tensor
    """(B, H, W) bool, False on padding."""
    labels: Pair | None = None
    """(B, H, W) int64, pasted like the images; None: those of the pass that learns."""
    said: Pair | None = None
    """(B, H, W) int64, the same labels before pasting."""
    mask: Tensor | None = None
    """(B, 1, H, W) bool, True where an image keeps its pixel."""


def paste_boxes(image: Tensor, said: Pair, valid: Tensor, step: Step) -> Task:
    """Boxes of the next image, pasted with the labels that both networks gave it.

    Args:
        image: (B, C, H, W) float.
        said: (B, H, W) int64, labels of the images.
        valid: (B, H, W) bool.
        step: The step with its generator.
    """
    sample = Mixed(image, torch.stack(said, 1), torch.ones_like(image[:, 0]), valid)
    size = (valid.shape[0], valid.shape[1], valid.shape[2])
    mask = ~box_mask(size, AREA, BOXES, generator=step.draws, device=image.device)
    mixed = paste_all(sample, next_in_ring(sample, step.devices), mask)
    return Task(mixed.image, mixed.valid, Pair(*mixed.label.unbind(1)), said, mask)


def columns_of(task: Task, labels: Pair, weak: Tensor) -> list[Picture]:
    """Columns of a sample picture.

    Args:
        task: What both networks see.
        labels: (B, H, W) int64, their predictions on it.
        weak: (B, C, H, W) float, the images before mixing.
    """
    columns = [Picture("input", "image", weak)]
    if task.mask is not None:
        columns.append(Picture("mask (white: input)", "mask", task.mask[:, 0].float()))
        columns.append(Picture("input of both", "image", task.image))
    ours, theirs = (label.where(task.valid, IGNORE) for label in task.labels or labels)
    return [
        *columns,
        Picture("pseudo-label of the peer", "label", theirs),
        Picture("pseudo-label of the student", "label", ours),
        Picture("student prediction", "label", labels.student),
    ]


@dataclass(eq=False, repr=False)
class CPS(Method):
    """Two networks with different decoder weights; each learns from the other's pseudo-labels.

    Every pixel counts: there is no threshold, no teacher and no strong view. The terms are `sup`
    and `sup_peer` on labels, and `cross`, the cross-entropy of each network against the argmax of
    the other one on unlabeled images. Without `cutmix` the labeled images are labeled by the
    networks as well (`sup_cross`); both terms are one mean over all these pixels. Padding does not
    count.

    Args:
        weight: Of `cross` and `sup_cross`. Paper: 1.5 on VOC and 6 on Cityscapes; with CutMix the
            released code has 1 and 5.
        cutmix: Paste three boxes of the next image. Both networks then label the unmixed images in
            passes of their own, and `sup_cross` is left out.
        passes: Forward passes of each network on labeled and unlabeled images. `one`: together.
            `two`: separately, each with their own batch statistics. `auto`: as published, together
            without `cutmix` and separately with it; together where BatchNorm is frozen or absent.
        warmup_steps: Supervised steps before the networks learn from each other, part of all steps;
            a value below 1 is a share of the run. The code starts from pretrained encoders and has
            none.
        rampup_steps: Steps after the warm-up over which the weight grows; below 1 a share of the
            run. None in the paper.
    """

    num_views: ClassVar[int] = 1

    weight: float = 1.5
    cutmix: bool = False
    passes: Literal["auto", "one", "two"] = "auto"
    warmup_steps: float = 0.3
    rampup_steps: float = 0.0

    def setup(self, model: Segmenter) -> None:
        """Set the student and add its peer: the same encoder weights, a new decoder."""
        super().setup(model)
        self.peer = model.new()

    @property
    def networks(self) -> Mapping[str, nn.Module]:
        """Both networks; the student predicts."""
        return {"peer": self.peer, "student": self.student}

    def losses(self, batch: Batch, step: Step) -> StepOutput:
        """The supervised terms and, after the warm-up, those of the other network's labels."""
        image, label = batch.labeled
        warmup = step.length(self.warmup_steps)
        if step.index < warmup:
            return StepOutput(self._supervised(self._both(image), label, step))

        task = self.task(batch.unlabeled, step)
        ours, theirs = self._logits(image, task.image)
        terms = self._supervised(ours, label, step)
        labels = task.labels or theirs.labels()
        known = (label != IGNORE) & (not self.cutmix)
        ramp = gaussian_rampup(step.index - warmup, step.length(self.rampup_steps))
        scale = self.weight * ramp / step.devices.denominator(task.valid.sum() + known.sum())
        terms["cross"] = scale * cross_error(theirs, labels, task.valid)
        if not self.cutmix:
            terms["sup_cross"] = scale * cross_error(ours, ours.labels(), known)

        said, valid = (task.said or labels).peer, batch.unlabeled.valid
        trusted, prediction = torch.ones_like(said, dtype=torch.float32), theirs.student.detach()
        pseudo = Pseudo(said, trusted, valid, labels.peer, task.valid, prediction)
        return StepOutput(terms, pseudo=pseudo)

    def task(self, unlabeled: Unlabeled, step: Step) -> Task:
        """The weak view; with `cutmix`, boxes of the next image are pasted with their labels."""
        weak, valid = unlabeled.views[0], unlabeled.valid
        if not self.cutmix:
            return Task(weak, valid)
        with labeling(self):
            said = self._both(weak).labels()
        return paste_boxes(weak, said, valid, step)

    def _both(self, image: Tensor) -> Pair:
        return Pair(self.student(image), self.peer(image))

    def _logits(self, labeled: Tensor, unlabeled: Tensor) -> tuple[Pair, Pair]:
        """Both networks' logits of the labeled and of the unlabeled images."""
        joint = not self.cutmix or self.student.independent
        if self.passes == "two" or (self.passes == "auto" and not joint):
            return self._both(labeled), self._both(unlabeled)
        return self._both(torch.cat((labeled, unlabeled))).split(len(labeled))

    def _supervised(self, logits: Pair, label: Tensor, step: Step) -> dict[str, Tensor]:
        losses = (self.labeled_loss(one, label, step) for one in logits)
        return dict(zip(("sup", "sup_peer"), losses, strict=True))

    def batch_size_notices(self, labeled: int, unlabeled: int, devices: int = 1) -> list[str]:
        """A message if a step has no second unlabeled image to mix with."""
        return [mixed_with_itself(self)] if self.cutmix and unlabeled < 2 else []

    def pictures(self, batch: Batch, step: Step) -> list[Picture]:
        """Input, mask and mix with `cutmix`, and what the networks say."""
        if not batch.unlabeled.views:
            return []
        task = self.task(batch.unlabeled, step)
        with labeling(self):
            labels = self._both(task.image).labels()
        return columns_of(task, labels, batch.unlabeled.views[0])
