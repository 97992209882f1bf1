"""The callbacks and loggers that a run has unless it is told otherwise."""

from functools import partial
from pathlib import Path
from typing import Any

from pytorch_lightning import Callback
from pytorch_lightning.callbacks import ModelCheckpoint
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
    """Makes the folder it needs as late as it can: other processes of the run choose theirs."""

    @property
    def experiment(self) -> Any:
        """The run of wandb; asked for once all processes have met."""
        if leads():
            Path(self.save_dir or ".").mkdir(parents=True, exist_ok=True)
        return super().experiment


def run_callbacks(
    run: RunFolder, alerts: TrainingAlerts, checkpoint_every: int | None, timed: float | None
) -> list[Callback]:
    """What watches, saves and describes a run, in the order in which they must act.

    Values that are not finite are found before anybody saves, and alerts have read what is saved.
    The summary comes after the last checkpoint: whoever finds it knows that everything is there.

    Args:
        run: Its folder.
        alerts: That it raises.
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
        return [LateWandb(project="ssseg", name=folder.name, save_dir=folder)]
    if name == "tensorboard":
        return [TensorBoardLogger(folder, name="tensorboard", version="")]
    return []
