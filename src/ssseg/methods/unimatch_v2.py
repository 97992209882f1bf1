"""UniMatch V2: two mixed strong views whose features keep complementary channels.

Yang, Zhao & Zhao, "UniMatch V2: pushing the limit of semi-supervised semantic segmentation", TPAMI
2025.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from ssseg.losses import gaussian_rampup, weighted_mean
from ssseg.methods.fixmatch import FixMatch
from ssseg.ops.dropout import complementary_dropout
from ssseg.types import Batch, Labeled, Pseudo, Step, StepOutput


@dataclass(eq=False, repr=False)
class UniMatchV2(FixMatch):
    """FixMatch on two strong views; a channel that one of them loses, the other has twice.

    `sup + (strong_1 + strong_2) / 2`, where each term is FixMatch's. The teacher labels the weak
    view once for both.

    Args:
        keep: Share of the images whose two strong views keep all channels.
        passes: `two`: labeled and mixed images in separate forward passes; the only choice.
    """

    num_views: ClassVar[int] = 3

    passes: Literal["two"] = "two"
    keep: float = 0.5

    def supervised(self, labeled: Labeled, step: Step) -> dict[str, Tensor]:
        """The terms of labeled images."""
        return {"sup": self.labeled_loss(self.student(labeled.image), labeled.label, step)}

    def streams(self, first: Tensor, second: Tensor, step: Step) -> tuple[Tensor, ...]:
        """The student's logits of both mixed views (B, C, H, W), in one pass."""
        both = torch.cat((first, second))
        feats = self.student.encode(both)
        feats = complementary_dropout(feats, self.keep, generator=step.draws)
        return self.student.upsample(self.student.decoder(feats), both).chunk(2)

    def losses(self, batch: Batch, step: Step) -> StepOutput:
        """`sup` and, after the warm-up, `strong_1` and `strong_2`."""
        terms, unlabeled = self.supervised(batch.labeled, step), batch.unlabeled
        warmup = step.length(self.warmup_steps)
        if step.index < warmup:
            return StepOutput(terms)

        sample, hard = self.sample(unlabeled, self.probabilities(unlabeled))
        first, second = (
            self.combine(sample._replace(image=view), hard, step, batch.labeled).target
            for view in unlabeled.views[1:]
        )
        logits = self.streams(first.image, second.image, step)
        ramp = gaussian_rampup(step.index - warmup, step.length(self.rampup_steps))
        strong_1, strong_2 = (
            0.5 * self.weight * ramp * self.consistency(stream, target, step)
            for stream, target in zip(logits, (first, second), strict=True)
        )
        valid, seen = unlabeled.valid, logits[0].detach()
        logs = {"trusted": weighted_mean(sample.conf, torch.ones_like(sample.conf), valid)}
        pseudo = Pseudo(hard, sample.conf, valid, first.label, first.valid, seen)
        return StepOutput({**terms, "strong_1": strong_1, "strong_2": strong_2}, logs, pseudo)
