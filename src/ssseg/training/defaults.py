"""The callbacks and loggers that a run has unless it is told otherwise."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from pytorch_lightning import Callback
from pytorch_lightning.callbacks import ModelCheckpoint, Timer
from pytorch_lightning.loggers import Logger, TensorBoardLogger, WandbLogger

from ssseg.training.callbacks.alerts import TrainingAlerts
from ssseg.training.callbacks.checkpoint import LastCheckpoint
from ssseg.training.callbacks.final_validation import EvaluateLast
from ssseg.training.callbacks.nan_guard import StopAtNaN
from ssseg.training.callbacks.progress import ProgressFile
from ssseg.training.callbacks.run_folder import RunFolder
from ssseg.training.resume import leads

LOGGERS = ("csv", "wandb", "tensorboard")


class LateWandb(WandbLogger):
    """Creates its folder only once it is used: it must not look like that of another run."""

    @property
    def experiment(self) -> Any:
        """The run of wandb; asked for once all processes have met."""
        if leads():
            Path(self.save_dir or ".").mkdir(parents=True, exist_ok=True)
        return super().experiment


def time_limit(max_time: Any, asked: Sequence[Callback]) -> list[Callback]:
    """Lightning's callback for `trainer.max_time`, unless the user gave one.

    Lightning would add it after all others. It comes before them here, so that `EvaluateLast`
    validates the step at which the time is over.

    Args:
        max_time: As the Trainer takes it; None: no limit.
        asked: The user's callbacks.
    """
    given = any(isinstance(callback, Timer) for callback in asked)
    return [] if max_time is None or given else [Timer(max_time)]


def run_callbacks(
    run: RunFolder, alerts: TrainingAlerts, checkpoint_every: int | None, timed: float | None
) -> list[Callback]:
    """The callbacks of every run, in the order in which they must act.

    Values that are not finite are found before a checkpoint is saved, and alerts are up to date in
    it. The summary is written after the last checkpoint: a folder with a summary is complete.

    Args:
        run: Its folder.
        alerts: The callback that raises them.
        checkpoint_every: Steps between checkpoints, besides those after each validation.
        timed: Seconds between validations; None: they are counted in steps.
    """
    return [
        StopAtNaN(run.folder),
        EvaluateLast(timed),
        alerts,
        LastCheckpoint(run.folder, checkpoint_every),
        run,
        ProgressFile(run.folder),
    ]


def default_checkpoints(folder: Path) -> list[ModelCheckpoint]:
    """After every validation: the best one so far, and where the run stands."""
    make = partial(ModelCheckpoint, folder / "checkpoints", enable_version_counter=False)
    return [make("best", monitor="val/miou", mode="max"), make("last")]


def default_loggers(name: str, folder: Path) -> list[Logger]:
    """Beside the CSV file: Weights & Biases or TensorBoard."""
    if name == "wandb":
        # wandb writes from a process of its own, whose working directory is that of the first run
        return [LateWandb(project="ssseg", name=folder.name, save_dir=folder.absolute())]
    if name == "tensorboard":
        return [TensorBoardLogger(folder, name="tensorboard", version="")]
    return []
