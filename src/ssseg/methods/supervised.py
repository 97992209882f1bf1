"""Labeled data only: the lower bound, or with all labels the upper bound."""

from dataclasses import dataclass
from typing import ClassVar

from ssseg.methods.base import Method
from ssseg.types import Batch, Step, StepOutput


@dataclass(eq=False, repr=False)
class Supervised(Method):
    """Cross-entropy on the labeled batch; unlabeled images are not read."""

    num_views: ClassVar[int] = 0

    def losses(self, batch: Batch, step: Step) -> StepOutput:
        """The mean cross-entropy over the labeled pixels."""
        image, label = batch.labeled
        return StepOutput({"sup": self.labeled_loss(self.student(image), label, step)})
