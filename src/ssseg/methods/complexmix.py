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
from ssseg.types import IGNORE, Step


@dataclass(eq=False, repr=False)
class ComplexMix(MeanTeacher):
    """ClassMix drawn anew in every block of a grid whose size changes from step to step.

    No code was published. Where the paper contradicts itself, the docs page of this method says
    which reading is the default and why. Threshold, decay and weight are not printed there; the
    values here are ClassMix's, whose code base it almost certainly shares.

    Args:
        blocks: The paper's set of p; one is drawn per step.
        grid: p blocks in `total` (2 x 2 to 8 x 16 blocks, useful at any image size, and "squares of
            identical size" at 512 x 1024) or `per_side` (the printed "p x p": at p = 128 blocks of
            4 x 8 pixels in the paper's images, and less than a pixel in small ones).
        class_pool: Half of the classes `present` in the block (the paper's introduction), or half
            of `all` classes (its section 2).
        rounding: Of half an odd number of classes. `random` keeps the expected share at 1/2 in
            blocks of a single class, of which small blocks mostly consist; `floor` (ClassMix)
            never takes them, so that small blocks would hardly mix.
        gate: `image` weighs every mixed image by its trusted share, as ClassMix does;
            `pixel_before` is the paper's printed order: pixels below the threshold lose their
            label before mixing, are never selected and count in no loss, all others fully
            (`conf_weight` has no say).
        threshold: Confidence that counts as trusted.
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
        """True where a pixel's class stays in its block."""
        # the generator's seed, not a draw from it: the size of a grid must be known on the host
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

    def combine(self, sample: Mixed, hard: Tensor, step: Step) -> Task:
        """Mix; with `pixel_before` only what is trusted carries a label at all."""
        if self.gate == "image":
            return super().combine(sample, hard, step)
        trusted = sample.conf > 0
        hard = torch.where(trusted, hard, IGNORE)
        # what is not valid counts in no loss, whether its label is a class or probabilities
        sample = sample._replace(conf=torch.ones_like(sample.conf), valid=sample.valid & trusted)
        return super().combine(sample, hard, step)
