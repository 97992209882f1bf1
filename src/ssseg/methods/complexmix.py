"""ComplexMix.

Chen, Ouyang, Zhu & Agam, "ComplexMix: semi-supervised semantic segmentation via mask-based data
augmentation", ICIP 2021.
"""

from dataclasses import dataclass
from random import Random
from typing import ClassVar, Literal

import torch
from torch import Tensor

from ssseg.losses import ConfidenceWeight, ConsistencyLoss
from ssseg.methods.mean_teacher import MeanTeacher, Task
from ssseg.ops.masks import ClassPool, Grid, Rounding, block_class_mask
from ssseg.ops.mix import Mixed
from ssseg.types import IGNORE, Labeled, Step


@dataclass(eq=False, repr=False)
class ComplexMix(MeanTeacher):
    """ClassMix, drawn independently in every block of a grid whose size changes every step.

    No code was published. The docs page of this method lists the points where the paper contradicts
    itself, with the default and its reason. The paper does not give threshold, decay and weight;
    the defaults are those of ClassMix, on which the paper builds.

    Args:
        blocks: The paper's set of p; one value is drawn per step.
        grid: p blocks in `total` (2 x 2 to 8 x 16 blocks; these are the paper's "squares of
            identical size" at 512 x 1024) or `per_side` (the paper's "p x p"; p = 128 gives blocks
            of 4 x 8 pixels in the paper's images and of less than a pixel in small images).
        class_pool: Half of the classes `present` in the block (the paper's introduction), or half
            of `all` classes (its section 2).
        rounding: How half of an odd number of classes is rounded. `random` keeps the expected share
            at 1/2 in blocks with one class; most small blocks have one. `floor` (ClassMix) never
            selects such a class, so that small blocks are almost never mixed.
        gate: `image` weighs every mixed image by its share of trusted pixels, as ClassMix does.
            `pixel_before` is the order in the paper: pixels below the threshold lose their label
            before mixing, are never selected and do not count in the loss; all others have weight
            1 (`conf_weight` has no effect).
        threshold: Confidence from which a pseudo-label is trusted.
    """

    num_views: ClassVar[int] = 1

    threshold: float = 0.968
    conf_weight: ConfidenceWeight = "image"
    loss: ConsistencyLoss = "cross_entropy"
    blocks: tuple[int, ...] = (4, 16, 64, 128)
    grid: Grid = "total"
    class_pool: ClassPool = "present"
    rounding: Rounding = "random"
    gate: Literal["image", "pixel_before"] = "image"

    def mask(self, label: Tensor, step: Step) -> Tensor:
        """(B, 1, H, W) bool, True where the class of the pixel is selected in its block."""
        # from the generator's seed, because a draw on the device needs a copy to the host
        blocks = Random(step.draws.initial_seed()).choice(self.blocks)
        return block_class_mask(
            label,
            self.student.num_classes,
            blocks,
            self.class_pool,
            self.rounding,
            self.grid,
            generator=step.draws,
        )

    def combine(self, sample: Mixed, hard: Tensor, step: Step, labeled: Labeled) -> Task:
        """Mix; with `pixel_before`, first remove the labels of pixels that are not trusted."""
        if self.gate == "image":
            return super().combine(sample, hard, step, labeled)
        trusted = sample.conf > 0
        hard = torch.where(trusted, hard, IGNORE)
        # an invalid pixel does not count in the loss, for hard and for soft labels
        sample = sample._replace(conf=torch.ones_like(sample.conf), valid=sample.valid & trusted)
        return super().combine(sample, hard, step, labeled)
