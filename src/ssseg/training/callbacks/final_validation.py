"""When a run validates: after its last step in any case, and by the clock where that is asked."""

import time
from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer


class EvaluateLast(Callback):
    """The last step is always validated, whatever the interval: its scores are those to report.

    Args:
        seconds: Between validations, where they go by time; the trainer's own interval is then one
            optimiser step. None: the trainer's interval holds.
    """

    def __init__(self, seconds: float | None = None) -> None:
        self.seconds = seconds
        self.validated = 0.0
        self.step = 0
        self.stopping = False
        self.limit: int | float = 1.0
        """The trainer's own `limit_val_batches`."""

    @staticmethod
    def of(trainer: Trainer) -> "EvaluateLast | None":
        """That of a run; None where it has none."""
        callbacks: list[Callback] = getattr(trainer, "callbacks", [])
        return next((one for one in callbacks if isinstance(one, EvaluateLast)), None)

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        """Start the clock."""
        self.validated, self.step = time.monotonic(), trainer.global_step
        self.limit, self.stopping = trainer.limit_val_batches, False
        self._switch_off(trainer)

    def on_train_batch_start(
        self, trainer: Trainer, module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """By time, a step is validated only if `on_train_batch_end` says so."""
        self._switch_off(trainer)

    def _switch_off(self, trainer: Trainer) -> None:
        if self.seconds is not None and not self.stopping:
            trainer.limit_val_batches = 0

    def on_train_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Decide whether Lightning validates after this step.

        By time, one device decides for all, which would wait for each other otherwise; and no
        validation comes between the batches of one optimiser step.
        """
        if trainer.global_step >= trainer.max_steps:
            trainer.should_stop = True  # before it stops, Lightning validates
        self.stopping |= trainer.should_stop
        if self.seconds is not None:
            stepped, self.step = trainer.global_step > self.step, trainer.global_step
            over = time.monotonic() - self.validated >= self.seconds
            if self.stopping or (stepped and trainer.strategy.broadcast(over)):
                trainer.limit_val_batches = self.limit

    def on_validation_end(self, trainer: Trainer, module: LightningModule) -> None:
        """Start the clock again."""
        self.validated = time.monotonic()

    def on_train_end(self, trainer: Trainer, module: LightningModule) -> None:
        """Leave the trainer's option as it was given."""
        trainer.limit_val_batches = self.limit


def validation_follows(trainer: Trainer, batch_idx: int) -> bool:
    """Whether Lightning validates after a batch, asked at its end.

    Args:
        trainer: Of the run.
        batch_idx: Place of the batch in the run, from 0.
    """
    interval = int(trainer.val_check_interval)
    due = trainer.should_stop or (batch_idx + 1) % interval == 0
    return trainer.enable_validation and due
