"""PrevMatch: UniMatch that also learns from the labels of earlier selves.

Shin, Shim, Oh & Kweon, "Revisiting and maximizing temporal knowledge in semi-supervised semantic
segmentation", 2024.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import ClassVar, Literal

from torch import Tensor

from ssseg.errors import UserError
from ssseg.methods.unimatch import Labels, Streams, UniMatch, labels_of, targets_of
from ssseg.models.segmenter import Segmenter
from ssseg.models.snapshots import Snapshots
from ssseg.ops.mix import Mixed
from ssseg.types import Batch, Step, StepOutput, Unlabeled


def snapshot_steps(total: int, growth: float) -> set[int]:
    """Numbers of steps after which a snapshot is taken: `ceil(total / 80 * growth**j)`, j >= 0.

    Args:
        total: Steps of the whole run.
        growth: Ratio of two successive numbers, above 1.
    """
    count = math.ceil(math.log(80) / math.log(growth)) + 1
    times = (math.ceil(total / 80 * growth**j) for j in range(count))
    return {time for time in times if time < total}


def draw_weights(count: int, most: int, source: Random) -> list[tuple[int, float]]:
    """Numbers and weights of random snapshots: 1 to `most` of them, weights from Dirichlet(1).

    Args:
        count: Number of snapshots, at least 1.
        most: Largest number of them that are drawn.
        source: Source of randomness.
    """
    chosen = source.sample(range(count), source.randint(1, min(most, count)))
    shares = [source.expovariate(1.0) for _ in chosen]
    return [(number, share / sum(shares)) for number, share in zip(chosen, shares, strict=True)]


@dataclass(eq=False, repr=False)
class PrevMatch(UniMatch):
    """UniMatch with three further terms, whose labels come from a random mix of snapshots.

    The terms `prev_strong_1`, `prev_strong_2` and `prev_feature` are those of UniMatch with other
    labels; their factor `b` grows from 0 to 1 in the first half of the run and falls to 0 in the
    second. All terms are multiplied by `2 / (2 + b)`. Snapshots are taken at fixed steps, more
    often at the start. (The released code takes one where the validation score has improved, so its
    labels depend on validation labels.)

    Args:
        snapshots: Snapshots that are kept; 5 on COCO and ADE20K in the paper.
        sampled: Largest number of snapshots that label together in a step.
        prev_threshold: Confidence from which their pseudo-label is trusted.
        prev_conf: `pixel`: only trusted pixels count. `average`: every pixel of an image counts by
            the mean confidence of that image, as on Cityscapes in the released code.
        snapshot_growth: Ratio of the steps at which two successive snapshots are taken, above 1.

    Raises:
        UserError: For options below their smallest value.
    """

    replicated: ClassVar[Sequence[str]] = ("earlier",)

    snapshots: int = 8
    sampled: int = 3
    prev_threshold: float = 0.9
    prev_conf: Literal["pixel", "average"] = "pixel"
    snapshot_growth: float = 1.2

    def __post_init__(self) -> None:
        super().__post_init__()
        bounds = {"snapshots": 1, "sampled": 1, "snapshot_growth": 1.01}
        for name, least in bounds.items():
            if (value := getattr(self, name)) < least:
                raise UserError(
                    f"option {name} of prevmatch is {value}; expected a number of at least {least}"
                )

    def setup(self, model: Segmenter) -> None:
        """Set the student and the places of its snapshots."""
        super().setup(model)
        self.earlier = Snapshots(model, self.snapshots)

    def after_step(self, step: Step) -> None:
        """Take a snapshot where it is due."""
        super().after_step(step)
        if step.index + 1 in snapshot_steps(step.total, self.snapshot_growth):
            self.earlier.take(self.student, step.devices)

    def balance(self, step: Step) -> float:
        """The factor of the terms of earlier selves; 0 where there are none."""
        waits = step.index < step.length(self.warmup_steps) or not len(self.earlier)
        return 0.0 if waits else 1 - abs(2 * step.fraction - 1)

    def earlier_labels(self, unlabeled: Unlabeled, step: Step) -> Labels:
        """Labels of the weak view from the weighted sum of the logits of random snapshots."""
        # on the host and from the seed, so that all devices draw the same
        source = Random(step.draws.initial_seed())
        weights = draw_weights(len(self.earlier), self.sampled, source)
        logits = self.earlier.logits(unlabeled.views[0], weights)
        labels = labels_of(logits, unlabeled.valid, self.prev_threshold)
        if self.prev_conf == "pixel":
            return labels
        conf, valid = logits.softmax(1).amax(1), unlabeled.valid
        total = (conf * valid).sum((1, 2), keepdim=True)
        mean = total / valid.sum((1, 2), keepdim=True).clamp_min(1)
        return labels._replace(trusted=mean.expand_as(conf))

    def unlabeled_terms(
        self,
        streams: Streams,
        unlabeled: Unlabeled,
        own: Labels,
        targets: Sequence[Mixed],
        step: Step,
    ) -> dict[str, Tensor]:
        """The terms of UniMatch and, from the first snapshot on, those of earlier selves."""
        terms = super().unlabeled_terms(streams, unlabeled, own, targets, step)
        if not len(self.earlier):
            return terms
        own = self.earlier_labels(unlabeled, step)
        targets = targets_of(unlabeled, own, own, streams.masks, step.devices)
        earlier = super().unlabeled_terms(streams, unlabeled, own, targets, step)
        balance = self.balance(step)
        return terms | {f"prev_{name}": balance * term for name, term in earlier.items()}

    def losses(self, batch: Batch, step: Step) -> StepOutput:
        """All terms, whose sum of factors does not depend on the balance."""
        out, scale = super().losses(batch, step), 2 / (2 + self.balance(step))
        return out._replace(losses={name: scale * term for name, term in out.losses.items()})
