"""Which callbacks a run may be given, and what they may watch."""

from collections.abc import Mapping, Sequence

from pytorch_lightning import Callback
from pytorch_lightning.callbacks import (
    BatchSizeFinder,
    EarlyStopping,
    GradientAccumulationScheduler,
    LearningRateFinder,
    ModelCheckpoint,
    ModelPruning,
    ProgressBar,
    StochasticWeightAveraging,
    WeightAveraging,
)

from ssseg.errors import UserError

LOGGED = ("loss", "train/", "pseudo_", "seconds/", "lr-", "val/")
"""How names of what is logged begin."""
REFUSED_CALLBACKS: Mapping[type[Callback], str] = {
    ProgressBar: "ssseg shows a bar of its own (trainer.enable_progress_bar false hides it)",
    StochasticWeightAveraging: "it counts in epochs; an averaged copy of the weights is a teacher "
    "here, e.g. --method mean_teacher",
    WeightAveraging: "it would average a network that has a teacher already; give --method "
    "mean_teacher for an averaged copy",
    GradientAccumulationScheduler: "it counts in epochs; give trainer.accumulate_grad_batches",
    BatchSizeFinder: "it cannot change batches of two streams; `ssseg find-batch-size` finds the "
    "largest one",
    LearningRateFinder: "it would train before the run begins; give optim.lr",
    ModelPruning: "checkpoints would hold other weights than the network has",
}


def refuse_callbacks(
    callbacks: Sequence[Callback], networks: Sequence[str], validates: bool
) -> None:
    """Find callbacks that cannot work in a run.

    Args:
        callbacks: Those that were asked for.
        networks: Names of the networks that are scored.
        validates: Whether there are scores at all.

    Raises:
        UserError: For the first one.
    """
    for callback in callbacks:
        name = type(callback).__name__
        for kind, why in REFUSED_CALLBACKS.items():
            if isinstance(callback, kind):
                raise UserError(f"option trainer.callbacks: {name} cannot be used here: {why}")
        needed = getattr(callback, "strict", True) and isinstance(
            callback, EarlyStopping | ModelCheckpoint
        )
        monitor = getattr(callback, "monitor", None) if needed else None
        if monitor is not None:
            _known_monitor(name, monitor, networks, validates)


def _known_monitor(callback: str, monitor: str, networks: Sequence[str], validates: bool) -> None:
    scores = ["val/miou", *(f"val/miou_{network}" for network in networks)]
    asked = monitor.startswith("val/")
    if asked and not validates:
        raise UserError(
            f"option trainer.callbacks: {callback} watches {monitor!r}, but this run does not "
            "validate; give one of the losses, e.g. loss"
        )
    if (asked and monitor not in scores) or not monitor.startswith(LOGGED):
        known = scores if validates else []
        raise UserError(
            f"option trainer.callbacks: {callback} watches {monitor!r}, which is not logged; "
            f"expected one of {', '.join([*known, 'loss'])}, or another column of metrics.csv"
        )
