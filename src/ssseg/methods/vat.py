"""Virtual adversarial training: the image is moved where the teacher's prediction changes most.

Miyato et al., "Virtual adversarial training", TPAMI 2018; for segmentation in French et al.,
"Semi-supervised semantic segmentation needs strong, varied perturbations", BMVC 2020.
"""

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor

from ssseg.losses import ConfidenceWeight, ConsistencyLoss, Denominator
from ssseg.methods.mean_teacher import MeanTeacher, Task
from ssseg.models.ema import labeling
from ssseg.ops.adversarial import adversarial_direction, unit
from ssseg.types import Batch, Step, Unlabeled


def edge_norm(image: Tensor, valid: Tensor) -> Tensor:
    """The norm of the differences of all neighbouring pixels of each image, (B,) float.

    Args:
        image: (B, C, H, W) float.
        valid: (B, H, W) bool; differences to other pixels do not count.
    """
    across = (image[..., 1:] - image[..., :-1]) * (valid[..., 1:] & valid[..., :-1])[:, None]
    down = (image[..., 1:, :] - image[..., :-1, :]) * (valid[:, 1:] & valid[:, :-1])[:, None]
    return (across.square().sum((1, 2, 3)) + down.square().sum((1, 2, 3))).sqrt()


@dataclass(eq=False, repr=False)
class VAT(MeanTeacher):
    """The student must predict on perturbed images what the teacher predicts on the weak view.

    The perturbation is the small change of an image that changes the prediction most. It is found
    by one gradient, in eval mode and in at least float32.

    Args:
        radius: Norm of the perturbation of an image, in the unit of `adaptive`.
        adaptive: The unit is half the norm of the differences of neighbouring pixels, so that
            images with strong edges are changed more. Else it is the square root of the number of
            values, so that `radius` is the mean change of a normalised value.
        xi: Mean change of a value in the random step at which the gradient is taken. The released
            code has about 2e-7, which float32 cannot hold beside the image.
        direction: The network whose prediction is changed, `teacher` or `student`.
        weight: Weight of the unlabeled loss term. Released code: 0.1 on VOC.
        threshold: Confidence from which a pixel counts for the share of `conf_weight`.
        conf_weight: `batch`: the loss is multiplied by the trusted share of the batch.
        loss: `soft_cross_entropy`, which has the gradient of the Kullback-Leibler divergence.
        denominator: `all`: the mean counts padding, too.
    """

    num_views: ClassVar[int] = 2

    weight: float = 0.1
    threshold: float = 0.97
    conf_weight: ConfidenceWeight = "batch"
    loss: ConsistencyLoss = "soft_cross_entropy"
    denominator: Denominator = "all"
    radius: float = 1.0
    adaptive: bool = True
    xi: float = 1e-2
    direction: Literal["teacher", "student"] = "teacher"

    def perturbation(self, unlabeled: Unlabeled, step: Step) -> Tensor:
        """(B, C, H, W) float, what is added to the images; 0 where they are not valid."""
        weak, valid = unlabeled.views[0], unlabeled.valid
        network = self.teacher.module if self.direction == "teacher" else self.student
        trial = self.xi * math.sqrt(weak[0].numel())
        with labeling(network, "running"):
            away = adversarial_direction(network, weak, trial, valid, generator=step.draws)
        values = valid.sum((1, 2)) * weak.shape[1]
        length = edge_norm(weak, valid) / 2 if self.adaptive else values.to(away.dtype).sqrt()
        moved = self.radius * length[:, None, None, None] * unit(away * valid[:, None])
        return moved.to(weak.dtype)

    def task(self, batch: Batch, step: Step) -> Task:
        """Pseudo-labels of the weak view, and the last view with the perturbation."""
        task = super().task(batch, step)
        image = task.target.image + self.perturbation(batch.unlabeled, step)
        return task._replace(target=task.target._replace(image=image))

    def batch_size_notices(self, labeled: int, unlabeled: int, devices: int = 1) -> list[str]:
        """None: images are not mixed."""
        return []
