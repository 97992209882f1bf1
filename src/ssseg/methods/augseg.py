"""AugSeg: labeled images are pasted where the teacher is uncertain, then images are mixed.

Zhao, Yang, Long, Pi, Zhou & Wang, "Augmentation matters: a simple-yet-effective approach to
semi-supervised semantic segmentation", CVPR 2023.
"""

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from ssseg.distributed import sum_dtype
from ssseg.losses import ConfidenceWeight, ConsistencyLoss, Denominator
from ssseg.methods.mean_teacher import MeanTeacher, Task
from ssseg.ops.mix import labeled_samples, next_in_ring, paste_all
from ssseg.ops.random import Rng, gamma, uniform
from ssseg.types import Batch, Step


def certainty(probs: Tensor, valid: Tensor) -> Tensor:
    """The mean over valid pixels of `(1 - entropy / log C) max p`, (B,) float in [0, 1].

    Args:
        probs: (B, C, H, W) float, each pixel sums to 1.
        valid: (B, H, W) bool; an image without a valid pixel has certainty 0.
    """
    entropy: Tensor = torch.special.entr(probs).sum(1) / math.log(max(2, probs.shape[1]))
    sure = (1 - entropy) * probs.amax(1) * valid
    return sure.sum((1, 2)) / valid.sum((1, 2)).clamp_min(1)


def centred_boxes(
    size: tuple[int, int, int],
    beta: tuple[float, float],
    *,
    generator: Rng = None,
    device: torch.device | str | None = None,
) -> Tensor:
    """AugSeg's CutMix rectangles, (B, 1, H, W) bool, True inside.

    With `lam ~ Beta(beta)`, a box has `sqrt(1 - lam)` of height and width of the image. Its centre
    is uniform in [1/8, 1) of each side; what is outside the image is cut off. (The released code
    draws `lam` once for all images of a batch.)

    Args:
        size: (B, H, W) of the masks.
        beta: The two parameters of the Beta distribution, > 0.
        generator: Source of randomness.
        device: Device of the mask.
    """
    batch, height, width = size
    ours, rest = (gamma((batch, 1), value, generator, device=device) for value in beta)
    share = (rest / (ours + rest).clamp_min(torch.finfo(rest.dtype).tiny)).sqrt()
    place = uniform((2, batch, 1), generator, batch=1, device=device, dtype=sum_dtype(device))
    inside: list[Tensor] = []
    for side, draw in zip((height, width), place, strict=True):
        half = (side * share).floor() // 2
        centre = side // 8 + (draw * (side - side // 8)).floor()
        position = torch.arange(side, device=device)
        inside.append((position >= centre - half) & (position < centre + half))
    rows, cols = inside
    return (rows[:, :, None] & cols[:, None, :])[:, None]


@dataclass(eq=False, repr=False)
class AugSeg(MeanTeacher):
    """The less certain the teacher is of an image, the likelier it gets a labeled rectangle.

    A rectangle of a labeled image, with its ground truth, is pasted into a copy of each image with
    probability 1 - `certainty`. Then a rectangle of the next image's copy is pasted into each
    image. Its strong views are those of `--data.strong random_intensity`.

    Args:
        threshold: Confidence from which a pseudo-label is trusted; ground truth always is.
        conf_weight: `pixel`: only trusted pixels add to the loss.
        denominator: Pixels that the mean of the loss counts: `all`, also padding, as in the
            released code.
        decay: Decay of the teacher's moving average (code: 0.999 on VOC, 0.996 on Cityscapes).
        teacher_norm: BatchNorm statistics with which the teacher makes pseudo-labels.
        passes: Forward passes of the student per step: `one` for labeled and mixed images together,
            `two` for each on its own, `auto`: one if the result is the same.
        inject: Paste labeled rectangles; without it the method is CutMix with its own rectangles.
        labeled_box: Parameters of the Beta distribution of the size of labeled rectangles; a box
            covers `1 - lam` of the image, before its border is cut off.
        box: The same for the rectangles of the next image.
    """

    num_views: ClassVar[int] = 2

    threshold: float = 0.95
    conf_weight: ConfidenceWeight = "pixel"
    loss: ConsistencyLoss = "cross_entropy"
    denominator: Denominator = "all"
    decay: float = 0.999
    teacher_norm: Literal["batch", "running"] = "running"
    passes: Literal["auto", "one", "two"] = "one"
    inject: bool = True
    labeled_box: tuple[float, float] = (8.0, 2.0)
    box: tuple[float, float] = (4.0, 4.0)

    def task(self, batch: Batch, step: Step) -> Task:
        """Pseudo-labels of the weak view, mixed together with the strong view."""
        unlabeled, draws = batch.unlabeled, step.draws
        probs = self.probabilities(unlabeled)
        sample, hard = self.sample(unlabeled, probs)
        images, height, width = hard.shape
        size, device = (images, height, width), hard.device
        copies = sample
        if self.inject:
            uncertain = uniform((images,), draws, device=device) >= certainty(probs, sample.valid)
            boxes = centred_boxes(size, self.labeled_box, generator=draws, device=device)
            kept = ~(boxes & uncertain[:, None, None, None])
            copies = paste_all(sample, labeled_samples(batch.labeled, sample), kept)
        mask = ~centred_boxes(size, self.box, generator=draws, device=device)
        partner = next_in_ring(copies, step.devices)
        target = paste_all(sample, partner, mask)
        return Task(target, mask, hard, sample.conf, partner.image)
