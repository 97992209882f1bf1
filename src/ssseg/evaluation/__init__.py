"""Inference on whole images, and segmentation scores over a whole set."""

from ssseg.evaluation.inference import SIX_SCALES, Inference
from ssseg.evaluation.metrics import BoundaryIoU, Scores, SegmentationScores

__all__ = ["SIX_SCALES", "BoundaryIoU", "Inference", "Scores", "SegmentationScores"]
