"""Scores that anyone else would get too."""

from ssseg.evaluation.metrics import Confusion, Scores

__all__ = ["Confusion", "Scores"]
