"""Mean teacher, and the base class of methods that mix images under a mean teacher.

Tarvainen & Valpola, "Mean teachers are better role models", NeurIPS 2017.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple

import torch
from torch import Tensor

from ssseg.losses import (
    ConfidenceWeight,
    ConsistencyLoss,
    Denominator,
    confidence_weight,
    gaussian_rampup,
    pixel_cross_entropy,
    pixel_soft_cross_entropy,
    pixel_squared_error,
    trusted_from,
    weighted_mean,
)
from ssseg.methods.base import Method, mixed_with_itself
from ssseg.models.ema import EMA
from ssseg.models.segmenter import Segmenter, evaluating
from ssseg.ops.mix import Mixed, next_in_ring, paste_all
from ssseg.types import IGNORE, Batch, Labeled, Picture, Pseudo, Step, StepOutput, Unlabeled

ERRORS: dict[ConsistencyLoss, Callable[[Tensor, Tensor], Tensor]] = {
    "cross_entropy": pixel_cross_entropy,
    "soft_cross_entropy": pixel_soft_cross_entropy,
    "squared_error": pixel_squared_error,
}


class Task(NamedTuple):
    """Input and target of the student on the unlabeled images of one step."""

    target: Mixed
    """Mixed images, their labels, trust and validity."""
    mask: Tensor | None
    """(B, 1, H, W) bool, the mixing mask; None without mixing by a mask."""
    label: Tensor | None = None
    """(B, H, W) int64, the teacher's argmax before mixing, IGNORE on padding; set by `task`."""
    trusted: Tensor | None = None
    """(B, H, W) float, 1 where `label` is trusted; set by `task`."""
    partner: Tensor | None = None
    """(B, C, H, W) float, the image whose pixels are pasted; None: the next weak view."""


@dataclass(eq=False, repr=False)
class MeanTeacher(Method):
    """The student's prediction on a strong view must match the EMA teacher's on the weak view.

    The teacher is the exponential moving average of the student's weights. A method that mixes
    images under a mean teacher overrides `mask` and sets its own defaults.

    Args:
        weight: Weight of the unlabeled loss term.
        threshold: Confidence (largest softmax value) from which a pseudo-label is trusted.
        conf_weight: How trusted pixels weigh the loss: by their share per `image` or per `batch`,
            by `pixel`, or `none`; see `ssseg.losses.confidence_weight`.
        loss: `cross_entropy` against the teacher's argmax, `soft_cross_entropy` against its
            probabilities, or `squared_error` to its probabilities (summed over the classes).
        denominator: Pixels that the mean of the loss counts, see `ssseg.losses.weighted_mean`.
        decay: Decay of the teacher's moving average, in [0, 1].
        startup: Let the decay start as 1 - 1 / (t + 1), with t the number of updates.
        teacher_norm: BatchNorm statistics with which the teacher makes pseudo-labels: those of the
            `batch`, or the `running` ones (better for pretrained networks). Layers that are frozen
            in the student use the running ones. Validation always uses the running ones.
        passes: Forward passes of the student per step. `two`: labeled and mixed images separately,
            each with their own batch statistics, as published. `one`: together, which is faster.
            `auto`: one if BatchNorm is frozen or absent (the result is the same), else two.
        warmup_steps: Supervised steps before the unlabeled term starts, part of all steps; a value
            below 1 is a share of the run. Most papers start from pretrained networks and use 0;
            ComplexMix and GuidedMix-Net use a warm-up but do not give its length.
        rampup_steps: Steps after the warm-up over which the weight grows; below 1 a share of the
            run.
    """

    num_views: ClassVar[int] = 2

    weight: float = 1.0
    threshold: float = 0.0
    conf_weight: ConfidenceWeight = "none"
    loss: ConsistencyLoss = "squared_error"
    denominator: Denominator = "valid"
    decay: float = 0.99
    startup: bool = True
    teacher_norm: Literal["batch", "running"] = "batch"
    passes: Literal["auto", "one", "two"] = "auto"
    warmup_steps: float = 0.3
    rampup_steps: float = 0.0

    def setup(self, model: Segmenter) -> None:
        """Set the student and make its teacher."""
        super().setup(model)
        self.teacher = EMA(model, self.decay, startup=self.startup)

    def batch_size_notices(self, labeled: int, unlabeled: int, devices: int = 1) -> list[str]:
        """A message if a step has no second unlabeled image to mix with."""
        hooks = ("mask", "combine", "task")
        mixes = any(getattr(type(self), hook) is not getattr(MeanTeacher, hook) for hook in hooks)
        return [mixed_with_itself(self)] if mixes and unlabeled < 2 else []

    def mask(self, label: Tensor, step: Step) -> Tensor | None:
        """The mixing mask, (B, 1, H, W) bool, True = this image's pixel; None: no mixing.

        Args:
            label: (B, H, W) int64, the teacher's argmax on the unmixed images; IGNORE on padding,
                so that predictions on padding do not affect the mask.
            step: The step with its generator.
        """
        return None

    def trust(self, conf: Tensor) -> Tensor:
        """(B, H, W) float, 1 where the pseudo-label is trusted; computed before mixing.

        Args:
            conf: (B, H, W) float, the teacher's largest softmax value.
        """
        return trusted_from(conf, self.threshold)

    def combine(self, sample: Mixed, hard: Tensor, step: Step, labeled: Labeled) -> Task:
        """Mix the samples with their partners.

        Args:
            sample: Images, labels, trust and validity.
            hard: (B, H, W) int64, the teacher's argmax; IGNORE on padding.
            step: The step with its generator.
            labeled: The labeled images of the step, for methods that mix with them.
        """
        mask = self.mask(hard, step)
        if mask is None:
            return Task(sample, None)
        return Task(paste_all(sample, next_in_ring(sample, step.devices), mask), mask)

    def probabilities(self, unlabeled: Unlabeled) -> Tensor:
        """The teacher's softmax (B, C, H, W) of the weak views."""
        with torch.inference_mode():
            logits = self.teacher.label(unlabeled.views[0], self.teacher_norm)
        return logits.softmax(1)

    def sample(self, unlabeled: Unlabeled, probs: Tensor) -> tuple[Mixed, Tensor]:
        """The last view with its pseudo-labels before mixing, and their argmax.

        Args:
            unlabeled: The unlabeled images of the step.
            probs: (B, C, H, W) float, the teacher's softmax.
        """
        conf, hard = probs.max(1)
        hard = hard.where(unlabeled.valid, IGNORE)
        label = hard if self.loss == "cross_entropy" else probs
        return Mixed(unlabeled.views[-1], label, self.trust(conf), unlabeled.valid), hard

    def task(self, batch: Batch, step: Step) -> Task:
        """Pseudo-labels of the weak view, mixed together with the last view."""
        sample, hard = self.sample(batch.unlabeled, self.probabilities(batch.unlabeled))
        task = self.combine(sample, hard, step, batch.labeled)
        return task._replace(label=hard, trusted=sample.conf)

    def consistency(self, logits: Tensor, target: Mixed, step: Step) -> Tensor:
        """The weighted mean of the loss of the student's logits (B, C, H, W), a scalar."""
        error = ERRORS[self.loss](logits, target.label)
        trust = confidence_weight(target.conf, target.valid, self.conf_weight, step.devices)
        return weighted_mean(error, trust, target.valid, self.denominator, step.devices)

    def losses(self, batch: Batch, step: Step) -> StepOutput:
        """`sup` on labeled images and, after the warm-up, `unsup` on the images of `task`."""
        image, label = batch.labeled
        warmup = step.length(self.warmup_steps)
        if step.index < warmup:
            return StepOutput({"sup": self.labeled_loss(self.student(image), label, step)})

        task = self.task(batch, step)
        target, mask = task.target, task.mask
        ours, logits = self._logits(image, target.image)
        sup = self.labeled_loss(ours, label, step)
        ramp = gaussian_rampup(step.index - warmup, step.length(self.rampup_steps))
        unsup = self.consistency(logits, target, step)

        assert task.label is not None
        assert task.trusted is not None
        valid = batch.unlabeled.valid
        # of the pseudo-labels before mixing: `combine` may remove pixels that are not trusted
        logs = {"trusted": weighted_mean(task.trusted, torch.ones_like(task.trusted), valid)}
        if mask is not None:
            logs["mask_mean"] = mask.float().mean()
        prediction = logits.detach()
        pseudo = Pseudo(task.label, task.trusted, valid, target.label, target.valid, prediction)
        return StepOutput({"sup": sup, "unsup": self.weight * ramp * unsup}, logs, pseudo)

    def _logits(self, labeled: Tensor, mixed: Tensor) -> tuple[Tensor, Tensor]:
        """The student's logits of the labeled and of the mixed images."""
        if self.passes == "two" or (self.passes == "auto" and not self.student.independent):
            return self.student(labeled), self.student(mixed)
        both = self.student(torch.cat((labeled, mixed)))
        return both[: len(labeled)], both[len(labeled) :]

    def after_step(self, step: Step) -> None:
        """Update the teacher."""
        self.teacher.update(self.student, step.index)

    def pictures(self, batch: Batch, step: Step) -> list[Picture]:
        """Input, partner, mask, mix, pseudo-label, trusted pixels and the student's prediction."""
        if not batch.unlabeled.views:
            return []
        task = self.task(batch, step)
        return pictures_of(self.student, batch.unlabeled, task, step)


def pictures_of(student: Segmenter, unlabeled: Unlabeled, task: Task, step: Step) -> list[Picture]:
    """Input, partner, mask, mix, pseudo-label, trusted pixels and the student's prediction."""
    target, mask = task.target, task.mask
    label = target.label if target.label.dim() == 3 else target.label.argmax(1)
    label = torch.where(target.valid, label, IGNORE)
    with evaluating(student):
        prediction = student(target.image).argmax(1)
    columns = [Picture("input", "image", unlabeled.views[0])]
    if mask is not None:
        partner = task.partner
        if partner is None:
            partner = step.devices.next_in_ring(unlabeled.views[0])
        columns.append(Picture("partner", "image", partner))
        columns.append(Picture("mask (white: input)", "mask", mask[:, 0].float()))
    return [
        *columns,
        Picture("student input", "image", target.image),
        Picture("pseudo-label", "label", label),
        Picture("trusted pixels", "mask", target.conf * target.valid),
        Picture("student prediction", "label", prediction),
    ]
