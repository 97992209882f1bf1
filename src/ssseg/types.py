"""Types that loaders yield and methods return.

They are NamedTuples, so that `default_collate` builds them and Lightning moves them to a device.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

import torch
from torch import Tensor

from ssseg.distributed import SINGLE, DistInfo, GlobalBatchGenerator

IGNORE: Final = 255
"""Label of pixels that do not count in any loss or score."""


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
    """No views and an empty `valid` if the method uses no unlabeled images; never None."""
    truth: Tensor | None = None
    """(B, H, W) int64 true classes of the unlabeled images for the metrics of pseudo-labels, IGNORE
    where unknown; None if not available. The training module removes it before it calls a method.
    """


@dataclass(frozen=True, slots=True)
class Step:
    """The number of a training step, its random generators and the devices."""

    index: int
    """Number of optimiser steps before this one."""
    total: int
    """Number of optimiser steps of the whole run."""
    generator: torch.Generator
    """Seeded from (seed, step, rank), on the device of the batch."""
    devices: DistInfo = SINGLE
    """Devices that share the batch."""
    common: torch.Generator | None = None
    """Has the same seed on all devices; None on a single device."""

    @property
    def draws(self) -> torch.Generator | GlobalBatchGenerator:
        """The generator for draws per image; results do not depend on the number of devices.

        On several devices, each draws for the whole batch and keeps its part.
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
        """A duration as a number of steps; values below 1 are shares of the whole run."""
        return round(steps * self.total) if steps < 1 else int(steps)


class Pseudo(NamedTuple):
    """Pseudo-labels and predictions of one step, for metrics only (no gradient)."""

    label: Tensor
    """Pseudo-labels before mixing: (P, H, W) int64, or (P, C, H, W) float scores."""
    trusted: Tensor
    """(P, H, W) float in [0, 1], trust in each pseudo-label."""
    valid: Tensor
    """(P, H, W) bool, valid pixels of `label`."""
    target: Tensor
    """Target of the student, after mixing: (P, H, W) int64, or (P, C, H, W) float scores."""
    target_valid: Tensor
    """(P, H, W) bool, valid pixels of `target`."""
    prediction: Tensor
    """(P, C, H, W) float, detached scores of the student."""
    image: Tensor | None = None
    """(P,) int64, index of each pseudo-label's image in the unlabeled batch; None: 0, 1, ..."""


class StepOutput(NamedTuple):
    """The result of a method for one batch."""

    losses: Mapping[str, Tensor]
    """Weighted scalar loss terms, which are summed; names of terms from labeled data start with
    `sup`."""
    logs: Mapping[str, Tensor] = {}
    """Detached scalars to log."""
    pseudo: Pseudo | None = None
    """Pseudo-labels, if the method makes them; used on some steps only."""

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
