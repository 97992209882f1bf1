"""What the terminal and progress.json show while a network trains."""

import json
import time
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

from pytorch_lightning import Callback, LightningModule, Trainer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

from ssseg.data.module import data_of
from ssseg.evaluation.pseudo_labels import to_floats
from ssseg.models.encoder import weights_origin
from ssseg.runs.atomic_write import atomic_write
from ssseg.runs.run import PROGRESS, SUMMARY
from ssseg.training.callbacks.final_validation import EvaluateLast
from ssseg.training.logged_steps import logged_at
from ssseg.training.module import SegmentationModule
from ssseg.training.validation_interval import share_of_validation
from ssseg.types import Batch


class Throughput:
    """Images per second of a run since it began or went on, validations included.

    Args:
        devices: That train, each on batches of one size.
    """

    def __init__(self, devices: int = 1) -> None:
        self.devices = devices
        self.images = 0
        self.started = time.monotonic()

    def add(self, batch: Batch) -> None:
        """Count the images of one device's batch."""
        self.images += len(batch.labeled.image) + len(batch.unlabeled.valid)

    @property
    def seconds(self) -> float:
        """Since the beginning."""
        return time.monotonic() - self.started

    @property
    def images_per_second(self) -> float:
        """Labeled and unlabeled images, on all devices."""
        return self.images * self.devices / self.seconds


class ProgressBar(Callback):
    """One bar over the steps: losses, trusted share, mIoU of every network, images per second.

    Args:
        every: Steps between two updates of the numbers; each waits for the device.
    """

    def __init__(self, every: int = 10) -> None:
        self.every = every
        self.console = Console()
        self.bar: Progress | None = None
        self.throughput = Throughput()
        self.waited = 0.0
        self.printed = -1

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        """Print what is about to train, and show the bar."""
        if trainer.is_global_zero and isinstance(module, SegmentationModule):
            for line in announcement(trainer, module):
                self.console.print(line, highlight=False, markup=False, soft_wrap=True)
        self.bar = Progress(
            TextColumn("step"),
            MofNCompleteColumn(),
            BarColumn(bar_width=20),
            TextColumn("{task.fields[text]}"),
            TimeRemainingColumn(),
            console=self.console,
            disable=not trainer.is_global_zero,
        )
        self.task = self.bar.add_task("", total=trainer.max_steps, text="")
        self.bar.update(self.task, completed=trainer.global_step)
        self.bar.start()
        self.throughput = Throughput(trainer.world_size)
        self.waited = data_of(trainer).waiting.seconds

    def on_train_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        """Count images; read the numbers every few steps."""
        self.throughput.add(batch)
        if self.bar is None:
            return
        self.bar.update(self.task, completed=trainer.global_step)
        if trainer.global_step % self.every == 0:
            rate, seconds = self.throughput.images_per_second, self.throughput.seconds
            waited = (data_of(trainer).waiting.seconds - self.waited) / seconds
            text = f"{_numbers(trainer)} | {rate:.0f} images/s, {waited:.0%} waiting for data"
            self.bar.update(self.task, text=text)

    def on_validation_end(self, trainer: Trainer, module: LightningModule) -> None:
        """Print one line per validation, which stays."""
        shown = trainer.is_global_zero and not trainer.sanity_checking
        if self.bar is not None and shown:
            self.bar.update(self.task, text=_numbers(trainer))
            line = f"step {trainer.global_step:>5}/{trainer.max_steps}  {_numbers(trainer)}"
            self.bar.console.print(line, highlight=False, soft_wrap=True)
            self.printed = trainer.global_step

    def on_train_end(self, trainer: Trainer, module: LightningModule) -> None:
        """Remove the bar."""
        self._stop()

    def on_exception(
        self, trainer: Trainer, module: LightningModule, exception: BaseException
    ) -> None:
        """Remove the bar before the error is printed."""
        self._stop()

    def _stop(self) -> None:
        if self.bar is not None:
            live = self.console.is_interactive or self.console.is_jupyter
            if not live and self.bar.tasks[self.task].completed == self.printed:
                # the bar would be printed once, here, below the line of the same step
                self.bar.live.transient = True
                self.bar.live.stop()
            else:
                self.bar.stop()
            self.bar = None


def announcement(trainer: Trainer, module: SegmentationModule) -> list[str]:
    """Network, data, batches and how often each set will be seen, in a few lines."""
    data, devices = data_of(trainer), trainer.world_size
    recipe = module.method.student.hparams
    size = sum(p.numel() for p in module.method.student.parameters()) / 1e6
    batches = trainer.max_steps * trainer.accumulate_grad_batches
    seen = data.exposures(batches, module.num_views)
    sizes = {"labeled": data.batch_size, "unlabeled": data.unlabeled_batch_size}
    counts = {"labeled": len(data.split.labeled), "unlabeled": len(data.unlabeled)}
    lines = [
        f"network    {recipe['decoder']} on {recipe['encoder']}, {size:.1f} million parameters, "
        f"{recipe['num_classes']} classes",
        f"weights    {weights_origin(recipe['encoder'], module.method.student.weights)}",
        f"data       {data.source.name}, labeled: {data.split.name}, "
        f"crops {data.crop_size[0]} x {data.crop_size[1]}",
    ]
    for name, often in seen.items():
        share = f" ({sizes[name] // devices} on each of {devices} devices)" * (devices > 1)
        lines.append(
            f"{name:<11}{counts[name]} images, {sizes[name]} per step{share}, "
            f"each seen {often:.1f} times in {trainer.max_steps} steps"
        )
    if devices > 1:
        whose = "all devices" if module.shares_statistics else "each device"
        lines.append(f"devices    {devices}; BatchNorm normalises over the images of {whose}")
    lines.append(validations(trainer, module))
    lines += module.notes
    lines += data.notices()
    lines += module.method.student.notices()
    lines += module.method.notices()
    lines += module.method.batch_size_notices(data.batch_size, data.unlabeled_batch_size, devices)
    return lines


def validations(trainer: Trainer, module: SegmentationModule) -> str:
    """How often the run validates, and what that costs."""
    data, together = data_of(trainer), trainer.accumulate_grad_batches
    images, last = len(data.source.records("val")), EvaluateLast.of(trainer)
    limit = trainer.limit_val_batches if last is None else last.limit
    if not images or not limit:
        why = "no validation" if images else "no validation images"
        return f"{why}: there will be no scores, and no best checkpoint"
    steps, networks = trainer.max_steps, len(module.method.networks)
    shown = f"{images} images by {networks} network{'s' * (networks > 1)}"
    if last is not None and last.seconds is not None:
        return (
            f"validation {shown}, every {timedelta(seconds=last.seconds)} and after the last step"
        )
    every = int(trainer.val_check_interval)
    share = share_of_validation(
        *(steps, together, every, data, module.inference),
        networks=networks,
        num_views=module.num_views,
    )
    times = -(-steps * together // every)
    often = "step" if every == together else f"{every // together} steps"
    when = f"every {often} and after the last one" if times > 1 else "once, after the last step"
    return f"validation {shown}, {when}: about {share:.0%} of the computing"


def _numbers(trainer: Trainer) -> str:
    """The latest losses, trusted share and scores in one line."""
    metrics = to_floats(trainer.callback_metrics)
    parts = [
        f"{key.removeprefix('loss/')} {value:.3f}"
        for key, value in metrics.items()
        if key.startswith("loss/")
    ]
    if "train/trusted" in metrics:
        parts.append(f"trusted {100 * metrics['train/trusted']:.0f}%")
    scores = [
        f"{key.removeprefix('val/miou_')} {100 * value:.1f}"
        for key, value in metrics.items()
        if key.startswith("val/miou_")
    ]
    return "  ".join(parts) + (f" | mIoU {'  '.join(scores)}" if scores else "")


class Lap(NamedTuple):
    """Step and times at which numbers were last logged."""

    step: int
    now: float
    waited: float


class ProgressFile(Callback):
    """Writes progress.json about once a second; it is removed when the run is finished.

    With the other numbers it logs `seconds/step` and `seconds/data_wait`, how much of it was
    waiting for data: means over the steps since the last time.

    Args:
        folder: Of the run.
        every: Seconds between two writes.
    """

    def __init__(self, folder: Path, every: float = 1.0) -> None:
        self.folder, self.every = folder, every
        self.throughput = Throughput()
        self.written = self.paused = 0.0
        self.first = 0
        self.lap = Lap(0, 0.0, 0.0)

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        """Start counting."""
        self.throughput = Throughput(trainer.world_size)
        self.first, self.written = trainer.global_step, 0.0
        self.lap = Lap(self.first, self.throughput.started, _waited(trainer))

    def on_train_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        """Count images; write the file about once a second."""
        self.throughput.add(batch)
        now = time.monotonic()
        if trainer.is_global_zero and now - self.written >= self.every:
            self.written = now
            self._write(trainer)
        step = trainer.global_step
        if logged_at(trainer, step) and step > self.lap.step:
            before, self.lap = self.lap, Lap(step, now, _waited(trainer))
            steps = step - before.step
            seconds = {"step": now - before.now, "data_wait": self.lap.waited - before.waited}
            named = {f"seconds/{name}": value / steps for name, value in seconds.items()}
            module.log_dict(named, on_step=True, on_epoch=False)

    def on_validation_start(self, trainer: Trainer, module: LightningModule) -> None:
        """Leave the validation out of the time of steps."""
        self.paused = time.monotonic()

    def on_validation_end(self, trainer: Trainer, module: LightningModule) -> None:
        """Write the new scores."""
        self.lap = self.lap._replace(now=self.lap.now + time.monotonic() - self.paused)
        if trainer.is_global_zero and trainer.state.fn == "fit" and not trainer.sanity_checking:
            self._write(trainer)

    def _write(self, trainer: Trainer) -> None:
        done = max(1, trainer.global_step - self.first)
        left = (trainer.max_steps - trainer.global_step) * self.throughput.seconds / done
        metrics = trainer.callback_metrics
        contents = {
            "step": trainer.global_step,
            "steps": trainer.max_steps,
            "images_per_second": round(self.throughput.images_per_second, 2),
            "seconds_left": round(left, 1),
            "miou": {
                key.removeprefix("val/miou_"): float(value)
                for key, value in metrics.items()
                if key.startswith("val/miou_")
            },
        }
        with atomic_write(self.folder / PROGRESS) as draft:
            draft.write_text(json.dumps(contents) + "\n", encoding="utf-8")

    def on_fit_end(self, trainer: Trainer, module: LightningModule) -> None:
        """Remove the file: a finished run has a summary."""
        if trainer.is_global_zero and (self.folder / SUMMARY).is_file():
            (self.folder / PROGRESS).unlink(missing_ok=True)


def _waited(trainer: Trainer) -> float:
    """Seconds that training has waited for data."""
    waiting = getattr(getattr(trainer, "datamodule", None), "waiting", None)
    return 0.0 if waiting is None else float(waiting.seconds)
