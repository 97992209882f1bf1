"""Interpolation consistency (ICT) for segmentation: mixup under a mean teacher.

Verma et al., "Interpolation consistency training for semi-supervised learning", IJCAI 2019; as a
segmentation baseline in French et al., BMVC 2020, whose code sets the defaults.
"""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from ssseg.errors import UserError
from ssseg.losses import ConfidenceWeight
from ssseg.methods.mean_teacher import MeanTeacher, Task
from ssseg.models.segmenter import Segmenter
from ssseg.ops.mix import Mixed, beta_lambda, blend, next_in_ring
from ssseg.types import Labeled, Step


@dataclass(eq=False, repr=False)
class MixUp(MeanTeacher):
    """Blends every image with the next one; the target is the blend of the teacher's probabilities.

    Trust is blended too: `lam [conf >= t] + (1 - lam) [conf' >= t]`. A pixel is valid if it is
    valid in both images. Hard labels cannot be blended, so `loss` cannot be `cross_entropy`.

    Args:
        alpha: Parameter of the Beta(alpha, alpha) distribution that the share of each image is
            drawn from.
        threshold: Confidence from which a pseudo-label is trusted.
        conf_weight: Weight of the loss: the share of trusted pixels per `batch`, as in French et
            al.'s code.
    """

    num_views: ClassVar[int] = 1

    threshold: float = 0.97
    conf_weight: ConfidenceWeight = "batch"
    alpha: float = 0.1

    def setup(self, model: Segmenter) -> None:
        """Set the student and make its teacher.

        Raises:
            UserError: If `loss` is `cross_entropy`.
        """
        if self.loss == "cross_entropy":
            raise UserError(
                f"option loss of mixup is {self.loss!r}; expected 'squared_error' or "
                "'soft_cross_entropy', because class ids cannot be blended"
            )
        super().setup(model)

    def combine(self, sample: Mixed, hard: Tensor, step: Step, labeled: Labeled) -> Task:
        """Blend images, probabilities and trust with one share per image."""
        theirs = next_in_ring(sample, step.devices)
        lam = beta_lambda(
            len(hard), self.alpha, folded=False, generator=step.draws, device=hard.device
        )
        parts = zip(sample[:3], theirs[:3], strict=True)
        image, label, conf = (blend(our, their, lam) for our, their in parts)
        return Task(Mixed(image, label, conf, sample.valid & theirs.valid), None)
