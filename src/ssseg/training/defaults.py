"""The checkpoints and loggers that a run has unless it is told otherwise."""

from functools import partial
from pathlib import Path
from typing import Any

from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.loggers import Logger, TensorBoardLogger, WandbLogger

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
