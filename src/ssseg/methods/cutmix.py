"""CutMix for semi-supervised segmentation.

French, Laine, Aila, Mackiewicz & Finlayson, "Semi-supervised semantic segmentation needs strong,
varied perturbations", BMVC 2020.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor

from ssseg.losses import ConfidenceWeight
from ssseg.methods.mean_teacher import MeanTeacher
from ssseg.ops.masks import box_mask, half_box_mask
from ssseg.types import Step


@dataclass(eq=False, repr=False)
class CutMix(MeanTeacher):
    """Pastes a rectangle of the partner; soft targets, squared error summed over the classes.

    The partner is the next image of the batch. (The authors' code draws two batches from one
    loader, so that an image can be mixed with itself.) All else is as published.

    Args:
        area: Share of the image that the rectangle covers, in (0, 1].
        num_boxes: Rectangles per image; where two overlap, the image keeps its pixels.
        law: Distribution of the rectangles: `french` for the authors' log-uniform one, `classmix`
            for the one of the CutMix mode in the released ClassMix code.
        threshold: Confidence from which a pseudo-label is trusted; 0.97 in the authors' code.
        conf_weight: Weight of the loss: the share of trusted pixels per `batch`, as in the authors'
            code; `pixel` is its `--conf_per_pixel`.
        startup: Let the decay of the teacher start as 1 - 1 / (t + 1). False in the authors' code,
            whose teacher starts as a copy of the pretrained student.
    """

    num_views: ClassVar[int] = 1

    threshold: float = 0.97
    conf_weight: ConfidenceWeight = "batch"
    area: float = 0.5
    num_boxes: int = 1
    law: Literal["french", "classmix"] = "french"

    def mask(self, label: Tensor, step: Step) -> Tensor:
        """(B, 1, H, W) bool, False inside the pasted rectangle."""
        size = (label.shape[0], label.shape[1], label.shape[2])
        if self.law == "classmix":
            return half_box_mask(size, generator=step.draws, device=label.device)
        return ~box_mask(size, self.area, self.num_boxes, generator=step.draws, device=label.device)
