"""Losses and schedules as plain functions."""

from ssseg.losses.contrastive import class_info_nce
from ssseg.losses.labeled import (
    LabeledLoss,
    class_presence_loss,
    cross_entropy,
    dice_loss,
    focal_loss,
    ohem_cross_entropy,
)
from ssseg.losses.unlabeled import (
    ConfidenceWeight,
    ConsistencyLoss,
    Denominator,
    confidence_weight,
    gaussian_rampup,
    pixel_cross_entropy,
    pixel_sigmoid_focal,
    pixel_soft_cross_entropy,
    pixel_squared_error,
    trusted_from,
    weighted_mean,
)

__all__ = [
    "ConfidenceWeight",
    "ConsistencyLoss",
    "Denominator",
    "LabeledLoss",
    "class_info_nce",
    "class_presence_loss",
    "confidence_weight",
    "cross_entropy",
    "dice_loss",
    "focal_loss",
    "gaussian_rampup",
    "ohem_cross_entropy",
    "pixel_cross_entropy",
    "pixel_sigmoid_focal",
    "pixel_soft_cross_entropy",
    "pixel_squared_error",
    "trusted_from",
    "weighted_mean",
]
