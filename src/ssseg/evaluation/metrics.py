"""mIoU from one confusion matrix over the whole set."""

from typing import Any, NamedTuple

import torch.nn.functional as F
from torch import Tensor
from torchmetrics.classification import MulticlassConfusionMatrix

from ssseg.types import IGNORE


class Scores(NamedTuple):
    """What a confusion matrix says. Shares in [0, 1]; None for a class that never occurs."""

    miou: float
    """Mean IoU over the classes that occur in truth or prediction."""
    iou: list[float | None]
    """Per class."""
    pixel_accuracy: float
    mean_accuracy: float
    """Mean recall over the classes that occur in the truth."""

    def as_dict(self, names: list[str]) -> dict[str, Any]:
        """Plain values with class names, for summaries."""
        per_class = dict(zip(names, self.iou, strict=True))
        return {
            "miou": self.miou,
            "pixel_accuracy": self.pixel_accuracy,
            "mean_accuracy": self.mean_accuracy,
            "iou": {name: value for name, value in per_class.items() if value is not None},
            "absent": [name for name, value in per_class.items() if value is None],
        }


class Confusion(MulticlassConfusionMatrix):
    """One int64 confusion matrix over a set, summed over devices; truth in rows.

    Args:
        num_classes: Number of classes; label 255 is left out.
    """

    def __init__(self, num_classes: int) -> None:
        super().__init__(num_classes, ignore_index=IGNORE, validate_args=False)

    def add(self, logits: Tensor, label: Tensor) -> None:
        """Count a batch, logits resized to the resolution of the labels.

        Args:
            logits: (B, C, h, w) float.
            label: (B, H, W) int64.
        """
        if logits.shape[-2:] != label.shape[-2:]:
            logits = F.interpolate(logits, label.shape[-2:], mode="bilinear", align_corners=False)
        self.update(logits.argmax(1), label)

    def scores(self) -> Scores:
        """Scores of everything counted so far, over all devices."""
        return scores(self.compute())


def scores(matrix: Tensor) -> Scores:
    """Scores of a confusion matrix.

    Args:
        matrix: (C, C) counts, truth in rows, prediction in columns.

    Returns:
        `Scores`; all 0 for an empty matrix.
    """
    matrix = matrix.double().cpu()
    hit, truth, predicted = matrix.diag(), matrix.sum(1), matrix.sum(0)
    union = truth + predicted - hit
    iou, recall = hit / union, hit / truth
    return Scores(
        miou=_mean(iou[union > 0]),
        iou=[None if u == 0 else v for v, u in zip(iou.tolist(), union.tolist(), strict=True)],
        pixel_accuracy=float(hit.sum() / matrix.sum().clamp_min(1)),
        mean_accuracy=_mean(recall[truth > 0]),
    )


def _mean(values: Tensor) -> float:
    return float(values.mean()) if len(values) else 0.0
