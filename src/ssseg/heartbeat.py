"""A run says how it is doing, in a file that others read while it trains."""

import json
import time
from pathlib import Path
from typing import Any, NamedTuple

from pytorch_lightning import Callback, LightningModule, Trainer

from ssseg.files import written_whole
from ssseg.module import logged_at
from ssseg.run import PROGRESS
from ssseg.types import Batch
from ssseg.unfinished import SUMMARY


class Lap(NamedTuple):
    """Where the watch stood when numbers were last logged."""

    step: int
    now: float
    waited: float


class Heartbeat(Callback):
    """Writes progress.json about once a second, which is gone when the run is finished.

    With the other numbers it logs `seconds/step` and `seconds/data_wait`, how much of it was
    waiting for data: means over the steps since the last time.

    Args:
        folder: Of the run.
        every: Seconds between two beats.
    """

    def __init__(self, folder: Path, every: float = 1.0) -> None:
        self.folder, self.every = folder, every
        self.images = 0
        self.started = self.beaten = self.paused = 0.0
        self.first = 0
        self.lap = Lap(0, 0.0, 0.0)

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        """Begin to count."""
        self.images, self.first = 0, trainer.global_step
        self.started = time.monotonic()
        self.beaten = 0.0
        self.lap = Lap(self.first, self.started, _waited(trainer))

    def on_train_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        """Count, and now and then say so."""
        self.images += len(batch.labeled.image) + len(batch.unlabeled.valid)
        now = time.monotonic()
        if trainer.is_global_zero and now - self.beaten >= self.every:
            self.beaten = now
            self._beat(trainer, now - self.started)
        step = trainer.global_step
        if logged_at(trainer, step) and step > self.lap.step:
            before, self.lap = self.lap, Lap(step, now, _waited(trainer))
            steps = step - before.step
            seconds = {"step": now - before.now, "data_wait": self.lap.waited - before.waited}
            named = {f"seconds/{name}": value / steps for name, value in seconds.items()}
            module.log_dict(named, on_step=True, on_epoch=False)

    def on_validation_start(self, trainer: Trainer, module: LightningModule) -> None:
        """A validation is no step."""
        self.paused = time.monotonic()

    def on_validation_end(self, trainer: Trainer, module: LightningModule) -> None:
        """Scores are news."""
        self.lap = self.lap._replace(now=self.lap.now + time.monotonic() - self.paused)
        if trainer.is_global_zero and trainer.state.fn == "fit" and not trainer.sanity_checking:
            self._beat(trainer, time.monotonic() - self.started)

    def _beat(self, trainer: Trainer, seconds: float) -> None:
        done = max(1, trainer.global_step - self.first)
        metrics = trainer.callback_metrics
        news = {
            "step": trainer.global_step,
            "steps": trainer.max_steps,
            "images_per_second": round(self.images * trainer.world_size / seconds, 2),
            "seconds_left": round((trainer.max_steps - trainer.global_step) * seconds / done, 1),
            "miou": {
                key.removeprefix("val/miou_"): float(value)
                for key, value in metrics.items()
                if key.startswith("val/miou_")
            },
        }
        with written_whole(self.folder / PROGRESS) as draft:
            draft.write_text(json.dumps(news) + "\n", encoding="utf-8")

    def on_fit_end(self, trainer: Trainer, module: LightningModule) -> None:
        """What is finished has a summary."""
        if trainer.is_global_zero and (self.folder / SUMMARY).is_file():
            (self.folder / PROGRESS).unlink(missing_ok=True)


def _waited(trainer: Trainer) -> float:
    """Seconds that training has waited for data."""
    waiting = getattr(getattr(trainer, "datamodule", None), "waiting", None)
    return 0.0 if waiting is None else float(waiting.seconds)
