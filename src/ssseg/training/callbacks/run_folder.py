"""The folder of a run: its configuration, sample pictures and summary."""

import json
import shutil
import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.callbacks import EarlyStopping, Timer
from torch import Tensor

from ssseg.data.module import SegmentationData, data_of
from ssseg.data.splits.split_file import note_split
from ssseg.distributed import SINGLE
from ssseg.evaluation.metrics import Scores
from ssseg.models.segmenter import evaluating
from ssseg.runs.atomic_write import atomic_write
from ssseg.runs.command import note_command
from ssseg.runs.environment import commit, device_name, peak_memory, tensor_hash, versions
from ssseg.runs.run import PREVIOUS, SUMMARY, config_hash
from ssseg.serialization import to_plain
from ssseg.training.callbacks.alerts import TrainingAlerts
from ssseg.training.callbacks.nan_guard import NonFiniteError
from ssseg.training.module import SegmentationModule
from ssseg.training.optimizer import rates
from ssseg.training.trainer_settings import training_of
from ssseg.types import Batch, Picture
from ssseg.viz import gallery, picture_pixels, reduced


class RunFolder(Callback):
    """Writes config.yaml, samples/ and summary.json of a run.

    Args:
        folder: The run's folder; made when training starts, not before.
        config: Text of the configuration that repeats the run.
        identity: Names of method, data and network, and the command, for the summary.
        args: The options of the run, to go on with after an interruption.
    """

    def __init__(
        self,
        folder: Path,
        config: str,
        identity: dict[str, Any],
        args: Sequence[str] = (),
    ) -> None:
        self.folder, self.config, self.identity, self.args = folder, config, identity, args
        self.made = not any(folder.glob("*"))
        self.history: list[dict[str, float]] = []
        self.fingerprints: dict[str, str] = {}
        self.best: dict[str, dict[str, Any]] = {}
        self.last: dict[str, dict[str, Any]] = {}
        self.batch: Batch | None = None
        self.shown: tuple[int, list[Picture]] | None = None
        self.seconds = 0.0
        self.started = 0.0
        self.init: dict[str, Any] | None = None
        """The model that `--init` gave; None where there is none."""
        self.lengths: list[dict[str, int]] = []
        """The lengths that the run was given, each with the step from which it holds."""

    def on_fit_start(self, trainer: Trainer, module: LightningModule) -> None:
        """Reset what ended a finished run that goes on, such as its time limit."""
        if (self.folder / SUMMARY).is_file():
            restart(getattr(trainer, "callbacks", []))

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        """Make the folder and write the configuration into it."""
        self.started = time.monotonic()
        if trainer.is_global_zero:
            self.folder.mkdir(parents=True, exist_ok=True)
            (self.folder / SUMMARY).unlink(missing_ok=True)  # it was finished, and goes on
            (self.folder / "config.yaml").write_text(self.config, encoding="utf-8")
            note_command(self.folder, self.args)
            note_split(self.folder, data_of(trainer).source)
        if not isinstance(module, SegmentationModule):
            return
        length = {"from": trainer.global_step, "max_steps": trainer.max_steps}
        if not self.lengths or self.lengths[-1]["max_steps"] != trainer.max_steps:
            if self.lengths:
                module.notes.append(longer(trainer, self.lengths[-1]["max_steps"]))
            self.lengths.append(length)
        if trainer.global_step == 0:
            self.fingerprints["network"] = tensor_hash(*module.method.student.state_dict().values())

    def on_train_batch_start(
        self, trainer: Trainer, module: LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        """Note hashes of the first batch, by which runs are checked to have started alike."""
        if trainer.global_step == 0 and "labeled" not in self.fingerprints:
            self.fingerprints["labeled"] = tensor_hash(*batch.labeled)
            if batch.unlabeled.views:
                self.fingerprints["unlabeled"] = tensor_hash(batch.unlabeled.views[0])

    def on_train_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        """Keep the latest batch for the next sample picture."""
        self.batch = batch._replace(truth=None)

    def on_validation_end(self, trainer: Trainer, module: LightningModule) -> None:
        """Note the scores and draw a sample picture."""
        scored = trainer.state.fn == "fit" and not trainer.sanity_checking
        if not scored or not isinstance(module, SegmentationModule):
            return
        step = trainer.global_step
        row: dict[str, float] = {"step": step}
        self.last = {name: self._named(trainer, s) for name, s in module.scores.items()}
        for name, scores in module.scores.items():
            row[name] = scores.miou
            if name not in self.best or scores.miou > self.best[name]["miou"]:
                self.best[name] = {"step": step, **self.last[name]}
        self.history.append(row)
        if trainer.is_global_zero and self.batch is not None:
            self._draw(trainer, module, self._sample(trainer))

    def _sample(self, trainer: Trainer) -> Path:
        return self.folder / "samples" / f"step_{trainer.global_step:06d}.png"

    def _named(self, trainer: Trainer, scores: Scores) -> dict[str, Any]:
        return scores.as_dict([c.name for c in data_of(trainer).source.classes])

    def _draw(self, trainer: Trainer, module: SegmentationModule, path: Path) -> None:
        assert self.batch is not None
        info = data_of(trainer).info
        step = replace(module.make_step(), devices=SINGLE, common=None)  # only one process draws
        with torch.no_grad(), trainer.precision_plugin.train_step_context():
            mixes = module.method.pictures(self.batch, step)
        shown = self._evaluated(trainer, module)
        blocks = [
            (f"training, step {trainer.global_step}: what the student is asked", mixes),
            ("validation", shown),
        ]
        if mixes or shown:
            gallery(path, blocks, info.classes, info.mean, info.std)

    def _evaluated(self, trainer: Trainer, module: SegmentationModule) -> list[Picture]:
        """Pictures of validation images at this step, made once."""
        if self.shown is None or self.shown[0] != trainer.global_step:
            self.shown = trainer.global_step, evaluation_pictures(trainer, module)
        return self.shown[1]

    def on_exception(
        self, trainer: Trainer, module: LightningModule, exception: BaseException
    ) -> None:
        """Remove the folder of a run that failed before its first step."""
        failed = trainer.global_step == 0 and not isinstance(exception, NonFiniteError)
        if trainer.is_global_zero and failed and self.made:
            shutil.rmtree(self.folder, ignore_errors=True)

    def on_train_end(self, trainer: Trainer, module: LightningModule) -> None:
        """Write the summary, once the final checkpoint is there."""
        self.seconds += time.monotonic() - self.started
        self.started = 0.0
        if not self.history and trainer.is_global_zero and isinstance(module, SegmentationModule):
            self._draw(trainer, module, self._sample(trainer))
        self._finish(trainer, module)

    def on_fit_end(self, trainer: Trainer, module: LightningModule) -> None:
        """Write the summary of a run that was interrupted after its last step."""
        if trainer.global_step >= trainer.max_steps and not (self.folder / SUMMARY).exists():
            self._finish(trainer, module)

    def _finish(self, trainer: Trainer, module: LightningModule) -> None:
        if not trainer.is_global_zero or not isinstance(module, SegmentationModule):
            return
        self._write_tiles(trainer, module)
        text = json.dumps(self.summary(trainer, module), indent=1)
        # whole or not at all: it says that the run is finished
        with atomic_write(self.folder / SUMMARY) as draft:
            draft.write_text(text + "\n", encoding="utf-8")
        (self.folder / "checkpoints" / PREVIOUS).unlink(missing_ok=True)

    def _write_tiles(self, trainer: Trainer, module: SegmentationModule) -> None:
        """Single pictures of a few validation images, for reports to put side by side."""
        info = data_of(trainer).info
        folder = self.folder / "samples" / "tiles"
        folder.mkdir(parents=True, exist_ok=True)
        for picture in self._evaluated(trainer, module):
            name = picture.title.split()[0]
            for row in range(len(picture.tensor)):
                pixels = picture_pixels(picture, row, info.classes, info.mean, info.std)
                Image.fromarray(pixels).save(folder / f"{name}_{row}.png")

    def summary(self, trainer: Trainer, module: SegmentationModule) -> dict[str, Any]:
        """Everything that a report says of this run."""
        data, batches = data_of(trainer), module.batches_seen
        method = {"name": self.identity["method"], **to_plain(module.method.hparams)}
        student = module.method.student
        network = {"name": self.identity["network"], **to_plain(student.hparams)}
        return {
            "method": method,
            "data": data.describe(),
            "network": {**network, "weights": student.weights},
            "init": self.init,
            "optim": to_plain(vars(module.optim)),
            "training": training_of(trainer, module),
            "compute": to_plain(vars(module.compute)),
            "loss": to_plain(vars(module.loss)),
            "seed": self.identity["seed"],
            "command": self.identity["command"],
            "config_hash": self._hash(),
            "fingerprints": self.fingerprints,
            "steps": trainer.global_step,
            "ended_early": ended_early(trainer),
            "earlier_lengths": [
                {"max_steps": earlier["max_steps"], "until": later["from"]}
                for earlier, later in pairwise(self.lengths)
            ],
            "exposures": data.exposures(batches, module.num_views),
            "predictor": module.method.predictor,
            "evaluation": evaluation_of(module, data),
            "last": self.last,
            "best": self.best,
            "history": self.history,
            "alerts": alerts_of(trainer),
            "seconds": round(self.seconds, 1),
            "data_wait": round(data.waiting.seconds / max(self.seconds, 1e-9), 3),
            "peak_memory_mb": peak_memory(),
            "device": device_name(module.device),
            "versions": versions(),
            "commit": commit(),
        }

    def _hash(self) -> str:
        """Of the configuration, and of the lengths that the run had on its way to this one."""
        own: str = self.identity["config_hash"]
        if len(self.lengths) < 2:
            return own
        return config_hash({"config": own, "lengths": self.lengths})

    def state_dict(self) -> dict[str, Any]:
        """The state that a resumed run goes on from."""
        elapsed = self.seconds + (time.monotonic() - self.started if self.started else 0)
        return {
            "history": self.history,
            "best": self.best,
            "last": self.last,
            "seconds": elapsed,
            "fingerprints": self.fingerprints,
            "lengths": self.lengths,
            "init": self.init,
            "threads": torch.get_num_threads(),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from an interrupted run."""
        self.history, self.best = state_dict["history"], state_dict["best"]
        self.last, self.fingerprints = state_dict["last"], state_dict["fingerprints"]
        self.seconds, self.lengths = state_dict["seconds"], list(state_dict["lengths"])
        self.init = state_dict["init"]


def alerts_of(trainer: Trainer) -> list[dict[str, Any]]:
    """The alerts of a run, as plain data."""
    callbacks: list[Callback] = getattr(trainer, "callbacks", [])
    found = [callback for callback in callbacks if isinstance(callback, TrainingAlerts)]
    return [alert._asdict() for callback in found for alert in callback.raised]


def ended_early(trainer: Trainer) -> dict[str, Any] | None:
    """What ended a run before it had its `max_steps`, and these; None where nothing did."""
    if trainer.global_step >= trainer.max_steps:
        return None
    return {"by": _ended_by(trainer), "max_steps": trainer.max_steps}


def _ended_by(trainer: Trainer) -> str:
    callbacks: list[Callback] = getattr(trainer, "callbacks", [])
    for callback in callbacks:
        if isinstance(callback, Timer) and (callback.time_remaining() or 1) <= 0:
            return "trainer.max_time"
    early = any(isinstance(callback, EarlyStopping) for callback in callbacks)
    return "EarlyStopping" if early else "a callback"


def restart(callbacks: Sequence[Callback]) -> None:
    """Reset callbacks that have ended a run: the time limit, and the patience."""
    for callback in callbacks:
        if isinstance(callback, Timer):
            callback.load_state_dict({})
        elif isinstance(callback, EarlyStopping):
            fresh = {"wait_count": 0, "stopped_epoch": 0}
            callback.load_state_dict({**callback.state_dict(), **fresh})


def longer(trainer: Trainer, before: int) -> str:
    """One line on what changes when a run goes on to another number of steps."""
    schedule: Any = trainer.lr_scheduler_configs[0].scheduler
    rate, now = schedule.optimizer.param_groups[-1]["lr"], rates(schedule)[-1]
    return (
        f"goes on    from step {trainer.global_step} of {before} to {trainer.max_steps}: from here "
        f"on the learning rate ({rate:.3g} before, {now:.3g} now) and lengths that are a share of "
        f"the run are those of {trainer.max_steps} steps"
    )


def evaluation_pictures(trainer: Trainer, module: SegmentationModule) -> list[Picture]:
    """Input, every network's prediction and the truth of a few validation images.

    The images go through the networks one by one, as they are scored; pictures are small.
    """
    data = data_of(trainer)
    infer = module.inference.within(data.crop_size)
    plugin = trainer.precision_plugin
    inputs, truths = list[Tensor](), list[Tensor]()
    answers: dict[str, list[Tensor]] = {name: [] for name in module.method.networks}
    for sample in data.examples():
        image = plugin.convert_input(sample.image[None].to(module.device))
        for name, network in module.method.networks.items():
            with evaluating(network), plugin.val_step_context():
                answers[name].append(reduced(infer(network, image).argmax(1)[0]))
        inputs.append(reduced(sample.image))
        truths.append(reduced(sample.label))
    if not inputs:
        return []
    return [
        Picture("input", "image", torch.stack(inputs)),
        *(Picture(f"{n} predicts", "label", torch.stack(found)) for n, found in answers.items()),
        Picture("truth", "label", torch.stack(truths)),
    ]


def evaluation_of(module: SegmentationModule, data: SegmentationData) -> dict[str, Any]:
    """How networks are scored, with every option."""
    infer = module.inference.within(data.crop_size)
    return {
        "protocol": str(infer),
        **to_plain(vars(infer)),
        "missing_classes": module.missing_classes,
        "eval_masks": data.eval_masks,
        "eval_crop": data.eval_crop,
    }
