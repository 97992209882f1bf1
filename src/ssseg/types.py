"""The shapes that every layer agrees on: what a loader yields, what a method returns.

They are NamedTuples: `default_collate` builds them and Lightning moves them without glue.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

import torch
from torch import Tensor

from ssseg.distributed import SINGLE, DistInfo, GlobalBatchGenerator

IGNORE: Final = 255
"""Label of pixels that no loss and no score may see."""


class Labeled(NamedTuple):
    """Images with ground truth."""

    image: Tensor
    """(B, C, H, W) float, normalised."""
    label: Tensor
    """(B, H, W) int64 class ids; IGNORE where unknown or padded."""


class Unlabeled(NamedTuple):
    """Images without ground truth; the views of one image share their geometry."""

    views: list[Tensor]
    """views[0] is weak, the others strong; each (B, C, H, W) float, normalised."""
    valid: Tensor
    """(B, H, W) bool; False on padding."""


class Batch(NamedTuple):
    """The data of one training step."""

    labeled: Labeled
    unlabeled: Unlabeled
    """No views and an empty `valid` where the method asks for none; never None."""
    truth: Tensor | None = None
    """(B, H, W) int64 classes of the unlabeled images where they are lent to the instruments, with
    IGNORE where unknown. The training module takes it away before a method sees the batch."""


@dataclass(frozen=True, slots=True)
class Step:
    """Where in the training a batch stands, and its own source of randomness."""

    index: int
    """Optimiser steps done before this one."""
    total: int
    """Optimiser steps of the whole run."""
    generator: torch.Generator
    """Seeded from (seed, step, rank); lives on the device of the batch."""
    devices: DistInfo = SINGLE
    """That the batch is spread over."""
    common: torch.Generator | None = None
    """Seeded alike on all devices; None on a single one."""

    @property
    def draws(self) -> torch.Generator | GlobalBatchGenerator:
        """What operators that draw per image take, so that it does not matter how many devices.

        On several, each draws for the whole batch and keeps its part.
        """
        return (
            self.generator
            if self.common is None
            else GlobalBatchGenerator(self.common, self.devices)
        )

    @property
    def fraction(self) -> float:
        """Share of the run that is done, in [0, 1]."""
        return min(1.0, self.index / max(1, self.total))

    def length(self, steps: float) -> int:
        """A duration in steps; values below 1 are shares of the whole run."""
        return round(steps * self.total) if steps < 1 else int(steps)


class Pseudo(NamedTuple):
    """What became of the unlabeled images, for the instruments to read; nothing learns from it."""

    label: Tensor
    """Of images as they are, before mixing: (P, H, W) int64, or (P, C, H, W) scores."""
    trusted: Tensor
    """(P, H, W) float in [0, 1], how far each of them is trusted."""
    valid: Tensor
    """(P, H, W) bool."""
    asked: Tensor
    """What the student was to answer, after mixing: the same."""
    asked_valid: Tensor
    """(P, H, W) bool."""
    answer: Tensor
    """(P, C, H, W) scores that it answered, without their gradient."""
    image: Tensor | None = None
    """(P,) int64, the place in the unlabeled batch of what each label is of; None: in its order."""


class StepOutput(NamedTuple):
    """What a method hands back from one batch."""

    losses: Mapping[str, Tensor]
    """Weighted scalar terms; the module sums them. Terms from labeled data are named `sup...`."""
    logs: Mapping[str, Tensor] = {}
    """Detached scalars worth watching."""
    pseudo: Pseudo | None = None
    """Its pseudo-labels, where it has made some; read on some steps only."""

    @property
    def total(self) -> Tensor:
        """The sum of the terms, which training minimises."""
        return torch.stack(list(self.losses.values())).sum()


class Picture(NamedTuple):
    """One column of a sample picture."""

    title: str
    kind: Literal["image", "label", "mask"]
    """`image`: (B, C, H, W); `label`: (B, H, W) class ids; `mask`: (B, H, W) in [0, 1]."""
    tensor: Tensor
