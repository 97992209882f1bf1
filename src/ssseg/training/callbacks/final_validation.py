"""The last step is always evaluated."""

import time
from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer


class EvaluateLast(Callback):
    """The last step is always evaluated, whatever the interval: it is the number to report.

    Args:
        seconds: Between validations, where they go by time; the trainer's own interval in batches
            is then to be longer than the run.
    """

    def __init__(self, seconds: float | None = None) -> None:
        self.seconds = seconds
        self.validated = 0.0
        self.step = 0

    @staticmethod
    def of(trainer: Trainer) -> "EvaluateLast | None":
        """That of a run; None where it has none."""
        callbacks: list[Callback] = getattr(trainer, "callbacks", [])
        return next((one for one in callbacks if isinstance(one, EvaluateLast)), None)

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        """The time begins."""
        self.validated, self.step = time.monotonic(), trainer.global_step

    def on_train_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Make the validation check that follows succeed where one is due.

        By time, one of the devices decides for all of them, which would wait for each other else;
        and none is due while gradients of a step accumulate.
        """
        if trainer.global_step >= trainer.max_steps:
            trainer.val_check_batch = 1
        elif self.seconds is not None:
            stepped, self.step = trainer.global_step > self.step, trainer.global_step
            over = time.monotonic() - self.validated >= self.seconds
            due = stepped and trainer.strategy.broadcast(over)
            trainer.val_check_batch = 1 if due else trainer.val_check_interval

    def on_validation_end(self, trainer: Trainer, module: LightningModule) -> None:
        """The time begins anew."""
        self.validated = time.monotonic()
