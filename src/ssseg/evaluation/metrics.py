"""Segmentation scores over a whole set: from one confusion matrix, and boundary IoU."""

from typing import Any, Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.classification import MulticlassConfusionMatrix

from ssseg.types import IGNORE

MissingClasses = Literal["skip", "zero"]


class Scores(NamedTuple):
    """Scores of a confusion matrix, in [0, 1]."""

    miou: float
    """Mean IoU over the classes that occur in truth or prediction."""
    iou: list[float | None]
    """IoU per class; None for a class that occurs neither in truth nor in prediction."""
    pixel_accuracy: float
    """Share of correct pixels."""
    mean_accuracy: float
    """Mean recall over the classes that occur in the truth."""
    weighted_iou: float
    """IoU averaged with the classes' shares of the true pixels (frequency-weighted IoU)."""
    boundary_iou: list[float | None] | None = None
    """IoU per class of the pixels near boundaries; None if it was not computed."""

    @property
    def boundary_miou(self) -> float | None:
        """Mean boundary IoU over the classes that have a boundary; None if not computed."""
        if self.boundary_iou is None:
            return None
        known = [value for value in self.boundary_iou if value is not None]
        return sum(known) / len(known) if known else 0.0

    def as_dict(self, names: list[str]) -> dict[str, Any]:
        """Plain values with class names, for summary files."""
        found: dict[str, Any] = {
            "miou": self.miou,
            "pixel_accuracy": self.pixel_accuracy,
            "mean_accuracy": self.mean_accuracy,
            "weighted_iou": self.weighted_iou,
            "iou": _named(names, self.iou),
            "missing_classes": [n for n, v in zip(names, self.iou, strict=True) if v is None],
        }
        if self.boundary_iou is not None:
            found["boundary_miou"] = self.boundary_miou
            found["boundary_iou"] = _named(names, self.boundary_iou)
        return found


class SegmentationScores(MulticlassConfusionMatrix):
    """One int64 confusion matrix (C, C) over a set, summed over devices; truth in rows.

    Args:
        num_classes: Number of classes C; pixels with label 255 are excluded.
        missing_classes: How mIoU treats a class that occurs neither in truth nor in prediction:
            `skip` excludes it, `zero` counts it as 0 (as in some older code).
    """

    def __init__(self, num_classes: int, missing_classes: MissingClasses = "skip") -> None:
        super().__init__(num_classes, ignore_index=IGNORE, validate_args=False)
        self.missing_classes = missing_classes

    def add(self, scores: Tensor, label: Tensor) -> Tensor:
        """Count a batch; scores are resized to the resolution of the labels.

        Args:
            scores: (B, C, h, w) float, larger for more likely classes.
            label: (B, H, W) int64.

        Returns:
            (B, H, W) int64, the predicted classes.
        """
        if scores.shape[-2:] != label.shape[-2:]:
            scores = F.interpolate(scores, label.shape[-2:], mode="bilinear", align_corners=False)
        predicted = scores.argmax(1)
        self.update(predicted, label)
        return predicted

    def scores(self) -> Scores:
        """Scores of all batches counted so far, over all devices."""
        return scores(self.compute(), self.missing_classes)


class BoundaryIoU(Metric):
    """Boundary IoU (Cheng et al., CVPR 2021) per class over a set, summed over devices.

    Only pixels within a distance of a class boundary count, in truth and in prediction; the border
    of the image is a boundary. Pixels with label IGNORE do not count.

    Args:
        num_classes: Number of classes C.
        width: The distance as a share of the image's diagonal (0.02 in the paper).
    """

    full_state_update = False
    hit: Tensor
    truth: Tensor
    predicted: Tensor

    def __init__(self, num_classes: int, width: float = 0.02) -> None:
        super().__init__()
        self.num_classes, self.width = num_classes, width
        for name in ("hit", "truth", "predicted"):
            zeros = torch.zeros(num_classes, dtype=torch.int64)
            self.add_state(name, zeros, dist_reduce_fx="sum")

    def update(self, predicted: Tensor, label: Tensor) -> None:
        """Count a batch.

        Args:
            predicted: (B, H, W) int64 classes.
            label: (B, H, W) int64 true classes; IGNORE where unknown.
        """
        diagonal = (label.shape[-1] ** 2 + label.shape[-2] ** 2) ** 0.5
        distance = max(1, round(self.width * diagonal))
        known = label != IGNORE
        predicted = torch.where(known, predicted, IGNORE)
        true_edge = known & _near_boundary(label, distance)
        edge = known & _near_boundary(predicted, distance)
        self.truth += self._count(label[true_edge])
        self.predicted += self._count(predicted[edge])
        self.hit += self._count(label[true_edge & edge & (label == predicted)])

    def compute(self) -> Tensor:
        """(C,) float64 IoU; NaN for a class without boundary in truth and prediction."""
        hit, either = self.hit.cpu().double(), (self.truth + self.predicted - self.hit).cpu()
        return hit / either

    def per_class(self) -> list[float | None]:
        """IoU per class; None for a class without boundary."""
        return _or_none(self.compute())

    def _count(self, classes: Tensor) -> Tensor:
        return torch.bincount(classes, minlength=self.num_classes)


def _near_boundary(label: Tensor, distance: int) -> Tensor:
    """Pixels with another value in the square of this radius around them, (B, H, W) bool.

    These are the pixels that an erosion of every class removes, for all classes at once.
    """
    outside = -1.0
    values = F.pad(label[:, None].float(), (distance,) * 4, value=outside)
    reach = 2 * distance + 1
    largest = F.max_pool2d(F.max_pool2d(values, (reach, 1), 1), (1, reach), 1)
    smallest = -F.max_pool2d(F.max_pool2d(-values, (reach, 1), 1), (1, reach), 1)
    return (largest != smallest)[:, 0]


def scores(matrix: Tensor, missing_classes: MissingClasses = "skip") -> Scores:
    """Scores of a confusion matrix.

    Args:
        matrix: (C, C) counts, truth in rows, prediction in columns.
        missing_classes: How `miou` treats a class that never occurs, see `SegmentationScores`.

    Returns:
        `Scores`; all 0 for an empty matrix.
    """
    matrix = matrix.cpu().double()
    hit, truth, predicted = matrix.diag(), matrix.sum(1), matrix.sum(0)
    iou, recall = hit / (truth + predicted - hit), hit / truth
    return Scores(
        miou=float(mean_iou(torch.stack([hit, truth, predicted]), missing_classes)),
        iou=_or_none(iou),
        pixel_accuracy=float(hit.sum() / matrix.sum().clamp_min(1)),
        mean_accuracy=_mean(recall[truth > 0]),
        weighted_iou=float((iou.nan_to_num(0) * truth).sum() / truth.sum().clamp_min(1)),
    )


def mean_iou(counts: Tensor, missing_classes: MissingClasses = "skip") -> Tensor:
    """Mean IoU over the classes; 0 where no class has pixels.

    Args:
        counts: (..., 3, C) float64: correct, true and predicted pixels.
        missing_classes: What a class without pixels counts, see `SegmentationScores`.

    Returns:
        (...) float64, in [0, 1].
    """
    hit, truth, predicted = counts.unbind(-2)
    union = truth + predicted - hit
    total = (hit / union.clamp_min(1)).sum(-1)
    classes = (union > 0).sum(-1) if missing_classes == "skip" else union.shape[-1]
    return total / torch.as_tensor(classes).clamp_min(1)


def image_counts(predicted: Tensor, label: Tensor, num_classes: int) -> Tensor:
    """Pixels of each class in every image; copies nothing to the host and waits for nothing.

    Args:
        predicted: (B, H, W) int64 classes.
        label: (B, H, W) int64; IGNORE where unknown.
        num_classes: Number of classes C.

    Returns:
        (B, 3, C) int64: correct, true and predicted pixels.
    """
    known = label != IGNORE
    row = torch.arange(len(label), device=label.device).view(-1, 1, 1) * (num_classes + 1)

    def count(values: Tensor, where: Tensor) -> Tensor:
        # one more bin takes what does not count: a mask as an index would wait for the device
        bins = (torch.where(where, values, num_classes) + row).flatten()
        total = torch.zeros(len(label) * (num_classes + 1), dtype=torch.int64, device=label.device)
        total.scatter_add_(0, bins, torch.ones_like(bins))
        return total.view(len(label), -1)[:, :num_classes]

    hit = count(label, known & (label == predicted))
    return torch.stack([hit, count(label, known), count(predicted, known)], 1)


def _mean(values: Tensor) -> float:
    return float(values.mean()) if len(values) else 0.0


def _or_none(values: Tensor) -> list[float | None]:
    return [None if value != value else value for value in values.tolist()]  # NaN


def _named(names: list[str], values: list[float | None]) -> dict[str, float]:
    pairs = zip(names, values, strict=True)
    return {name: value for name, value in pairs if value is not None}
