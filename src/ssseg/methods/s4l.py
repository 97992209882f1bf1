"""S4L: a head says by how much an image was turned, from the prediction of the network.

Zhai, Oliver, Kolesnikov & Beyer, "S4L: self-supervised semi-supervised learning", ICCV 2019; for
segmentation as in PixelSSL (Ke et al., "Guided collaborative training for pixel-wise
semi-supervised learning", ECCV 2020).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from ssseg.errors import UserError
from ssseg.methods.base import Method
from ssseg.models.ema import labeling
from ssseg.models.rotation_head import RotationHead
from ssseg.models.segmenter import Segmenter
from ssseg.ops.rotation import random_turns, turned
from ssseg.types import IGNORE, Batch, Picture, Step, StepOutput


def refuse_rectangles(image: Tensor) -> None:
    """Raise `UserError` for images (B, C, H, W) that are not square."""
    height, width = image.shape[-2:]
    if height != width:
        side = min(height, width)
        raise UserError(
            f"the crops are {height} x {width}, but s4l turns images by 90 degrees, for which they "
            f'must be square; give --data.crop_size "[{side}, {side}]"'
        )


@dataclass(eq=False, repr=False)
class S4L(Method):
    """Every image is seen upright and turned; a head on the logits learns by how much.

    Terms: `sup` on upright labeled images; `sup_rotated`, the same on turned ones; `sup_rotation`
    and `rotation`, the cross-entropy of the head on labeled and unlabeled images, which is one mean
    over all images, upright and turned. Images without a valid pixel do not count.

    Args:
        weight: Of `rotation` and `sup_rotation`.
        rotated_weight: Of `sup_rotated`.
        warmup_steps: Supervised steps before the other terms start, part of all steps; a value
            below 1 is a share of the run. None in the published code.
    """

    num_views: ClassVar[int] = 1

    weight: float = 0.1
    rotated_weight: float = 0.1
    warmup_steps: float = 0.0

    def setup(self, model: Segmenter) -> None:
        """Set the student; add the head."""
        super().setup(model)
        self.head = RotationHead(model.num_classes)

    def idle(self, step: Step) -> Iterable[nn.Parameter]:
        """The head during the warm-up."""
        return self.head.parameters() if step.index < step.length(self.warmup_steps) else ()

    def losses(self, batch: Batch, step: Step) -> StepOutput:
        """`sup` and, after the warm-up, the terms of turned images."""
        (image, label), unlabeled, devices = batch.labeled, batch.unlabeled, step.devices
        if step.index < step.length(self.warmup_steps):
            return StepOutput({"sup": self.labeled_loss(self.student(image), label, step)})
        refuse_rectangles(image)
        weak, device = unlabeled.views[0], image.device
        ours, theirs = (
            random_turns(len(x), generator=step.draws, device=device) for x in (image, weak)
        )
        upright = torch.cat((image, weak))
        turns = torch.cat((ours, theirs))
        logits = self.student(torch.cat((upright, turned(upright, turns))))
        known, count = label != IGNORE, len(image)
        counted = torch.cat((known.flatten(1).any(1), unlabeled.valid.flatten(1).any(1)))
        target = torch.stack((torch.zeros_like(turns), turns))
        errors = cross_entropy(self.head(logits), target.flatten(), reduction="none")
        # upright and turned image in one column
        errors = (errors.view(2, -1) * counted).sum(0)
        scale = self.weight / devices.denominator(2 * counted.sum())
        second = logits[len(upright) : len(upright) + count]
        again = self.labeled_loss(second, turned(label, ours), step)
        terms = {
            "sup": self.labeled_loss(logits[:count], label, step),
            "sup_rotated": self.rotated_weight * again,
            "sup_rotation": scale * errors[:count].sum(),
            "rotation": scale * errors[count:].sum(),
        }
        return StepOutput(terms)

    def pictures(self, batch: Batch, step: Step) -> list[Picture]:
        """Input, the turned image, and the student's predictions."""
        if not batch.unlabeled.views:
            return []
        weak = batch.unlabeled.views[0]
        image = turned(weak, random_turns(len(weak), generator=step.draws, device=weak.device))
        with labeling(self, "running"):
            upright, other = self.student(weak).argmax(1), self.student(image).argmax(1)
        return [
            Picture("input", "image", weak),
            Picture("prediction", "label", upright),
            Picture("turned", "image", image),
            Picture("prediction", "label", other),
        ]
