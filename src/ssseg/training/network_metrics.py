"""The metrics of every network of a method, over a whole set of images."""

from collections.abc import Sequence
from typing import cast

from torch import Tensor, nn

from ssseg.evaluation.metrics import BoundaryIoU, MissingClasses, Scores, SegmentationScores


class NetworkMetrics(nn.Module):
    """A confusion matrix of each network and, where that is asked, its Boundary IoU.

    Args:
        networks: Names of the networks.
        num_classes: That they tell apart.
        missing_classes: What a class without pixels counts in the mIoU.
        boundary: Whether the neighbourhood of boundaries is scored as well.
    """

    def __init__(
        self,
        networks: Sequence[str],
        num_classes: int,
        missing_classes: MissingClasses,
        *,
        boundary: bool,
    ) -> None:
        super().__init__()
        self.confusion = nn.ModuleDict(
            {name: SegmentationScores(num_classes, missing_classes) for name in networks}
        )
        self.boundary = nn.ModuleDict(
            {name: BoundaryIoU(num_classes) for name in (networks if boundary else ())}
        )

    def add(self, network: str, scores: Tensor, label: Tensor) -> Tensor:
        """Count a network's answers to some images.

        Args:
            network: Its name.
            scores: (B, C, h, w) float, larger for likelier classes.
            label: (B, H, W) int64.

        Returns:
            (B, H, W) int64, the predicted classes.
        """
        predicted = cast(SegmentationScores, self.confusion[network]).add(scores, label)
        if network in self.boundary:
            cast(BoundaryIoU, self.boundary[network]).update(predicted, label)
        return predicted

    def scores(self) -> dict[str, Scores]:
        """Scores of each network over everything counted, on all devices; counting starts again."""
        found = {}
        for name, confusion in self.confusion.items():
            scores = cast(SegmentationScores, confusion).scores()
            cast(SegmentationScores, confusion).reset()
            if name in self.boundary:
                edge = cast(BoundaryIoU, self.boundary[name])
                scores = scores._replace(boundary_iou=edge.per_class())
                edge.reset()
            found[name] = scores
        return found
