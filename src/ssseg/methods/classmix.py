"""ClassMix.

Olsson, Tranheden, Pinto & Svensson, "ClassMix: segmentation-based data augmentation for
semi-supervised learning", WACV 2021.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ssseg.losses import ConfidenceWeight, ConsistencyLoss
from ssseg.methods.mean_teacher import MeanTeacher, Task
from ssseg.models.segmenter import Segmenter
from ssseg.ops.masks import Rounding, class_mask
from ssseg.ops.mix import Mixed
from ssseg.ops.photometric import color_jitter, gaussian_blur
from ssseg.ops.random import uniform
from ssseg.types import Labeled, Step


@dataclass(eq=False, repr=False)
class ClassMix(MeanTeacher):
    """Pastes half of the classes that the teacher predicts in an image onto the next image.

    Args:
        threshold: Confidence from which a pseudo-label is trusted (paper and code: 0.968).
        conf_weight: Weight of the loss: the share of trusted pixels per `image` (the paper's
            Algorithm 1) or per `batch` (the released code); `pixel` and `none` are in the paper's
            ablation.
        rounding: How half of an odd number of classes is rounded; `floor` in the released code.
        extra_augmentation: Colour jitter (only of images with values in [0, 1] before
            normalisation) and blur of the mixed image. Off in the paper's main table, on in the
            released Cityscapes configuration.
        denominator: Pixels that the mean of the loss counts: `valid` excludes padding, `all`
            includes it (the released code).
    """

    num_views: ClassVar[int] = 1

    threshold: float = 0.968
    conf_weight: ConfidenceWeight = "image"
    loss: ConsistencyLoss = "cross_entropy"
    rounding: Rounding = "floor"
    extra_augmentation: bool = False

    def mask(self, label: Tensor, step: Step) -> Tensor:
        """(B, 1, H, W) bool, True on the selected classes."""
        classes = self.student.num_classes
        return class_mask(label, classes, self.rounding, generator=step.draws)

    def combine(self, sample: Mixed, hard: Tensor, step: Step, labeled: Labeled) -> Task:
        """Mix; with `extra_augmentation`, then apply colour jitter and blur."""
        task = super().combine(sample, hard, step, labeled)
        if not self.extra_augmentation:
            return task
        image = augmented(task.target.image, self.student, step)
        return task._replace(target=task.target._replace(image=image))


def augmented(image: Tensor, student: Segmenter, step: Step) -> Tensor:
    """Colour jitter of 80 % of the images (B, C, H, W) and blur of half of them.

    Both are drawn per image; the released code of ClassMix and DACS draws once for all images of
    the batch. Images with values outside [0, 1] before normalisation keep their colours.
    """
    apply, draw, often = uniform((3, len(image)), step.draws, batch=1, device=image.device)
    norm = {"mean": student.mean, "std": student.std}
    jittered = color_jitter(image, 0.25, **norm, generator=step.draws)
    image = torch.where((often > 0.2)[:, None, None, None], jittered, image)
    # blur with sigma from U(0.15, 1.15) for half of the images
    sigma = torch.where(apply > 0.5, 0.15 + draw, 1e-3)
    return gaussian_blur(image, sigma)
