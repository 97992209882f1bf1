"""FixMatch for segmentation: weak-to-strong consistency with one threshold and a CutMix box.

Sohn et al., "FixMatch: simplifying semi-supervised learning with consistency and confidence",
NeurIPS 2020; for segmentation with an EMA teacher as in Yang, Zhao & Zhao, "UniMatch V2: pushing
the limit of semi-supervised semantic segmentation", TPAMI 2025.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor

from ssseg.losses import ConfidenceWeight, ConsistencyLoss
from ssseg.methods.mean_teacher import MeanTeacher
from ssseg.ops.masks import ratio_box_mask
from ssseg.types import Step


def outside_box(like: Tensor, probability: float, step: Step) -> Tensor:
    """A mask (B, 1, H, W) bool, False inside the rectangle that is pasted.

    Args:
        like: (B, H, W), of the size and on the device of the mask.
        probability: How often an image gets a rectangle.
        step: The step with its generator.
    """
    size = (like.shape[0], like.shape[1], like.shape[2])
    return ~ratio_box_mask(size, probability, generator=step.draws, device=like.device)


@dataclass(eq=False, repr=False)
class FixMatch(MeanTeacher):
    """The student's prediction on mixed strong views must be the teacher's confident argmax.

    `unsup = mean over valid pixels of [conf >= threshold] CE(student(mix), argmax teacher(weak))`.
    The mean counts all valid pixels, not only the confident ones.

    Args:
        threshold: Confidence from which a pseudo-label is trusted.
        conf_weight: `pixel`: only trusted pixels add to the loss.
        decay: Decay of the teacher's moving average; 0: the teacher is the student of the last
            step, as in the first UniMatch paper's FixMatch.
        teacher_norm: BatchNorm statistics with which the teacher makes pseudo-labels: its `running`
            ones (the teacher is in eval mode in the released code), or those of the `batch`.
        passes: Forward passes of the student per step: `one` for labeled and mixed images together,
            `two` for each on its own, `auto`: one if the result is the same.
        box_probability: How often a rectangle of the partner is pasted.
    """

    num_views: ClassVar[int] = 2

    threshold: float = 0.95
    conf_weight: ConfidenceWeight = "pixel"
    loss: ConsistencyLoss = "cross_entropy"
    decay: float = 0.996
    teacher_norm: Literal["batch", "running"] = "running"
    passes: Literal["auto", "one", "two"] = "one"
    box_probability: float = 0.5

    def mask(self, label: Tensor, step: Step) -> Tensor:
        """(B, 1, H, W) bool, False inside the pasted rectangle."""
        return outside_box(label, self.box_probability, step)
