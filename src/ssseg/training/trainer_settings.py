"""Settings of a trainer that change the result, for the summary of a run."""

from typing import Any

from pytorch_lightning import Trainer
from pytorch_lightning.callbacks import (
    EarlyStopping,
    GradientAccumulationScheduler,
    StochasticWeightAveraging,
)

from ssseg.training.module import SegmentationModule

CHANGING = (EarlyStopping, StochasticWeightAveraging, GradientAccumulationScheduler)
"""Lightning's own callbacks that change the training; its others only observe."""


def training_of(trainer: Trainer, module: SegmentationModule) -> dict[str, Any]:
    """Settings of the trainer that change the result."""
    ours = __name__.partition(".")[0]
    others = [type(callback) for callback in getattr(trainer, "callbacks", [])]
    several = trainer.world_size > 1
    return {
        "precision": str(trainer.precision),
        "accumulate_grad_batches": trainer.accumulate_grad_batches,
        "gradient_clip_val": trainer.gradient_clip_val,
        "gradient_clip_algorithm": str(trainer.gradient_clip_algorithm or "norm")
        .rpartition(".")[2]
        .lower(),
        "devices": trainer.world_size,
        "shared_batchnorm": several and module.shares_statistics,
        "limit_train_batches": trainer.limit_train_batches,
        "limit_val_batches": trainer.limit_val_batches,
        "callbacks": sorted(
            kind.__qualname__
            for kind in others
            if kind.__module__.partition(".")[0] not in (ours, "pytorch_lightning")
            or issubclass(kind, CHANGING)
        ),
    }
