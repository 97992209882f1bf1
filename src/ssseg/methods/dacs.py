"""DACS: classes of a labeled source image are pasted into an unlabeled image of a target domain.

Tranheden, Olsson, Pinto & Svensson, "DACS: domain adaptation via cross-domain mixed sampling", WACV
2021.
"""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from ssseg.losses import (
    ConfidenceWeight,
    ConsistencyLoss,
    Denominator,
    confidence_weight,
    weighted_mean,
)
from ssseg.methods.classmix import augmented
from ssseg.methods.mean_teacher import ERRORS, MeanTeacher, Task
from ssseg.ops.masks import Rounding, class_mask
from ssseg.ops.mix import Mixed, labeled_samples, paste_all
from ssseg.types import IGNORE, Labeled, Step


@dataclass(eq=False, repr=False)
class DACS(MeanTeacher):
    """Pastes half of the classes of a labeled image, with its ground truth, into each image.

    For domain adaptation: labeled images are from a source domain, unlabeled ones from a target
    domain. Pasted pixels have weight 1, the others that of `conf_weight`.

    Args:
        threshold: Confidence from which a pseudo-label is trusted.
        conf_weight: Weight of pixels with pseudo-labels: the share of trusted pixels of the `batch`
            before mixing (the released code) or of the `image`; `pixel` and `none` as elsewhere.
        denominator: Pixels that the mean of the loss counts: `all`, also padding, as in the
            released code.
        rounding: How half of an odd number of classes is rounded; `ceil` pastes an image of one
            class as a whole.
        augment: Colour jitter (only of images with values in [0, 1] before normalisation) and blur
            of the mixed image.
    """

    num_views: ClassVar[int] = 1

    threshold: float = 0.968
    conf_weight: ConfidenceWeight = "batch"
    loss: ConsistencyLoss = "cross_entropy"
    denominator: Denominator = "all"
    rounding: Rounding = "ceil"
    augment: bool = True

    def batch_size_notices(self, labeled: int, unlabeled: int, devices: int = 1) -> list[str]:
        """None: an unlabeled image is mixed with a labeled one."""
        return []

    def combine(self, sample: Mixed, hard: Tensor, step: Step, labeled: Labeled) -> Task:
        """Paste labeled images into the samples, then jitter and blur."""
        source = labeled_samples(labeled, sample)
        truth = source.label if source.label.dim() == 3 else source.label.argmax(1)
        truth = truth.where(source.valid, IGNORE)
        mask = class_mask(truth, self.student.num_classes, self.rounding, generator=step.draws)
        weight = confidence_weight(sample.conf, sample.valid, self.conf_weight, step.devices)
        target = paste_all(source, sample._replace(conf=weight), mask)
        if self.augment:
            target = target._replace(image=augmented(target.image, self.student, step))
        return Task(target, ~mask, partner=source.image)

    def consistency(self, logits: Tensor, target: Mixed, step: Step) -> Tensor:
        """The mean of the loss of logits (B, C, H, W) with the weights of `combine`, a scalar."""
        error = ERRORS[self.loss](logits, target.label)
        return weighted_mean(error, target.conf, target.valid, self.denominator, step.devices)
