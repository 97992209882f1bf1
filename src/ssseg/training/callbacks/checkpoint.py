"""When a run is saved, and how it ends after a SIGTERM."""

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.plugins.io import TorchCheckpointIO
from pytorch_lightning.utilities.exceptions import SIGTERMException

from ssseg.evaluation.pseudo_labels import to_floats
from ssseg.runs.atomic_write import atomic_write
from ssseg.runs.checkpoint import take_checkpoint
from ssseg.runs.run import LAST, PREVIOUS
from ssseg.training.callbacks.final_validation import validation_follows
from ssseg.training.logged_steps import logged_at
from ssseg.training.sigterm import SigtermHandler


class LastCheckpoint(Callback):
    """Keeps checkpoints/last.ckpt, from which a run goes on as if it had never been cut off.

    It also ends a run that gets a SIGTERM: once its optimiser step is complete, and a validation
    that has begun or follows is finished; a checkpoint holds nothing of what is in between.

    Args:
        folder: Of the run.
        every: Steps between checkpoints, besides those after each validation.
    """

    def __init__(self, folder: Path, every: int | None = None) -> None:
        self.folder, self.every = folder, every
        self.row: dict[str, float] = {}
        self.sigterm: SigtermHandler | None = None
        self.over = False
        self.step = 0
        self.validated = -1

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        """Note where the run begins, and handle SIGTERM from here on."""
        self.step = trainer.global_step
        self.sigterm = SigtermHandler(trainer)
        self.sigterm.install()

    def on_train_batch_start(
        self, trainer: Trainer, module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """End after a validation if told to; ModelCheckpoint has saved the run by then.

        Raises:
            SIGTERMException: Where any process of the run got a SIGTERM.
        """
        if self.validated == trainer.global_step and self._told_to_end():
            raise SIGTERMException

    def on_train_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save the run, if that is due or it is told to end.

        A step that is validated is saved after that: a run that went on from before would leave
        the validation out. Later than here Lightning's count of logged steps would be one ahead of
        what a resumed run expects. Nothing is saved while gradients of a step accumulate, which are
        in no checkpoint.

        Raises:
            SIGTERMException: Where any process of the run got a SIGTERM.
        """
        complete, self.step = trainer.global_step > self.step, trainer.global_step
        if not complete or validation_follows(trainer, batch_idx):
            return
        due = self.every is not None and trainer.global_step % self.every == 0
        told = self._told_to_end()
        if due or told:
            self.save(trainer)
        if told:
            raise SIGTERMException

    def save(self, trainer: Trainer) -> None:
        """Write the checkpoint; all processes take part, one of them writes.

        It has the row that Lightning is about to log of its own last step: a kill before that
        would leave a gap in the log.
        """
        if logged_at(trainer, trainer.global_step):
            known = {
                name: value
                for name, value in to_floats(trainer.callback_metrics).items()
                if not name.startswith(("val/", "seconds/")) and value == value
            }
            # of steps there are as many as were done; rows count them from 0
            self.row = {**known, "epoch": trainer.current_epoch, "step": trainer.global_step - 1}
        trainer.save_checkpoint(self.folder / "checkpoints" / LAST)

    def on_validation_end(self, trainer: Trainer, module: LightningModule) -> None:
        """Note that this step is validated."""
        if trainer.state.fn == "fit" and not trainer.sanity_checking:
            self.validated = trainer.global_step

    def _told_to_end(self) -> bool:
        return self.sigterm is not None and self.sigterm.received_by_any()

    def on_train_end(self, trainer: Trainer, module: LightningModule) -> None:
        """Save the final checkpoint, with the last scores."""
        self.over = True
        self.save(trainer)

    def on_save_checkpoint(
        self, trainer: Trainer, module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Give the final checkpoint the counts of any other step, so that the run can go on longer.

        At the end Lightning has closed its epoch, which here is the whole run, and counted the
        logged steps further than it expects of a checkpoint.
        """
        if not self.over:
            return
        checkpoint["epoch"] -= 1
        loop = checkpoint["loops"]["fit_loop"]
        loop["epoch_loop.state_dict"]["_batches_that_stepped"] -= 1
        for counts in loop["epoch_progress"].values():
            counts["processed"] -= 1
            counts["completed"] -= 1

    def state_dict(self) -> dict[str, Any]:
        """The latest row of the log, for a resumed run."""
        return {"row": self.row}


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes beside the checkpoint, in the same file system, and renames.

    Lightning's own writes in the system's temporary folder and moves: where that is another file
    system, the move is a copy onto the old checkpoint, and a kill in its middle costs both.

    The former last.ckpt is kept as previous.ckpt, in case that the new one cannot be read.
    """

    def load_checkpoint(self, path: Any, *args: Any, **options: Any) -> dict[str, Any]:
        """The contents of a checkpoint; addresses such as s3://... are left to Lightning."""
        if "://" in str(path):
            return super().load_checkpoint(path, *args, **options)
        return take_checkpoint(path)

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None
    ) -> None:
        """Write a checkpoint; addresses such as s3://... are left to Lightning."""
        if "://" in str(path):
            super().save_checkpoint(checkpoint, path, storage_options)
            return
        whole = Path(path)
        whole.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(whole) as draft:
            with draft.open("wb") as file:
                torch.save(checkpoint, file)
                file.flush()
                os.fsync(file.fileno())
            if whole.name == LAST:
                _keep(whole)


def _keep(last: Path) -> None:
    """Give last.ckpt a second name, previous.ckpt, before it is replaced."""
    # there may be no such file yet, or a file system without second names
    with suppress(OSError), atomic_write(last.with_name(PREVIOUS)) as again:
        again.unlink(missing_ok=True)
        again.hardlink_to(last)
