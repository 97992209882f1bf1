"""Scores that anyone else would get too."""

from ssseg.evaluation.inference import SIX_SCALES, Inference
from ssseg.evaluation.metrics import Boundary, Confusion, Scores

__all__ = ["SIX_SCALES", "Boundary", "Confusion", "Inference", "Scores"]
