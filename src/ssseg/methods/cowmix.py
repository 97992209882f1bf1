"""CowMix under a mean teacher.

French, Oliver & Salimans, "Milking CowMask for semi-supervised image classification", 2020; as a
segmentation method in the first version of French et al., and as a mask in ClassMix's ablation.
"""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from ssseg.losses import ConfidenceWeight, ConsistencyLoss
from ssseg.methods.mean_teacher import MeanTeacher
from ssseg.ops.masks import cow_mask
from ssseg.types import Step


@dataclass(eq=False, repr=False)
class CowMix(MeanTeacher):
    """Pastes cow-spotted regions; targets and loss as in ClassMix.

    Args:
        share: Expected share of its own pixels that an image keeps. (The released ClassMix code
            keeps `1 - share`; at its only value, 0.5, the distributions are equal.)
        sigma_min: Smallest standard deviation of the blur of the noise, in pixels; the value is
            drawn log-uniformly. ClassMix's code: 8.
        sigma_max: Largest standard deviation of the blur, in pixels. ClassMix's code: 32.
        threshold: Confidence from which a pseudo-label is trusted.
        conf_weight: Weight of the loss: the share of trusted pixels per `image`; per `batch` in the
            released ClassMix code.
    """

    num_views: ClassVar[int] = 1

    threshold: float = 0.968
    conf_weight: ConfidenceWeight = "image"
    loss: ConsistencyLoss = "cross_entropy"
    share: float = 0.5
    sigma_min: float = 8.0
    sigma_max: float = 32.0

    def mask(self, label: Tensor, step: Step) -> Tensor:
        """(B, 1, H, W) bool, True on the spots that the image keeps."""
        size = (label.shape[0], label.shape[1], label.shape[2])
        sigma = (self.sigma_min, self.sigma_max)
        return cow_mask(size, self.share, sigma, generator=step.draws, device=label.device)
