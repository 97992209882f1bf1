"""What happens around training: evaluation of the last step, and the run's folder."""

import hashlib
import json
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.utilities.exceptions import SIGTERMException
from torch import Tensor

from ssseg.alarms import Alarms
from ssseg.data.module import SegmentationData
from ssseg.devices import ALONE
from ssseg.evaluation.metrics import Scores
from ssseg.models.segmenter import evaluating
from ssseg.module import SegmentationModule
from ssseg.nonfinite import NonFiniteError
from ssseg.recipe import plain
from ssseg.types import Batch, Picture
from ssseg.unfinished import LAST, PREVIOUS, SUMMARY, note_command
from ssseg.viz import gallery, picture_pixels


class EvaluateLast(Callback):
    """The last step is always evaluated, whatever the interval: it is the number to report."""

    def on_train_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Make the validation check that follows succeed after the final optimiser step."""
        if trainer.global_step >= trainer.max_steps:
            trainer.val_check_batch = 1


class RunFolder(Callback):
    """Writes config.yaml, samples/ and summary.json of a run.

    Args:
        folder: The run's folder; made when training starts, not before.
        config: Text of the configuration that repeats the run.
        identity: Names of method, data and network, and the command, for the summary.
        args: The options of the run, to go on with after an interruption.
        save_every: Steps between checkpoints, besides those after each validation.
    """

    def __init__(
        self,
        folder: Path,
        config: str,
        identity: dict[str, Any],
        args: Sequence[str] = (),
        save_every: int | None = None,
    ) -> None:
        self.folder, self.config, self.identity, self.args = folder, config, identity, args
        self.save_every = save_every
        self.made = not any(folder.glob("*"))
        self.history: list[dict[str, float]] = []
        self.fingerprints: dict[str, str] = {}
        self.best: dict[str, dict[str, Any]] = {}
        self.last: dict[str, dict[str, Any]] = {}
        self.batch: Batch | None = None
        self.told_to_end = False
        self.seconds = 0.0
        self.started = 0.0

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        """Make the folder, and keep the configuration in it."""
        self.started = time.monotonic()
        if trainer.is_global_zero:
            self.folder.mkdir(parents=True, exist_ok=True)
            (self.folder / "config.yaml").write_text(self.config, encoding="utf-8")
            note_command(self.folder, self.args)
        if trainer.global_step == 0 and isinstance(module, SegmentationModule):
            self.fingerprints["network"] = fingerprint(*module.method.student.state_dict().values())

    def on_train_batch_start(
        self, trainer: Trainer, module: LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        """Keep what the first batch was, for comparisons of runs to see that it was the same."""
        if trainer.global_step == 0 and "labeled" not in self.fingerprints:
            self.fingerprints["labeled"] = fingerprint(*batch.labeled)
            if batch.unlabeled.views:
                self.fingerprints["unlabeled"] = fingerprint(batch.unlabeled.views[0])

    def on_train_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        """Keep the latest batch for the next sample picture; save where the run stands, if due.

        A step that is validated is saved after that: a run that went on from before would leave
        the validation out. Later than here Lightning's count of logged steps would be one ahead of
        what a resumed run expects.
        """
        self.batch = batch._replace(truth=None)
        due = self.save_every is not None and trainer.global_step % self.save_every == 0
        validated = (batch_idx + 1) % (trainer.val_check_batch or 1) == 0
        if due and not (validated and self._scored(trainer)):
            self._save(trainer)

    def _save(self, trainer: Trainer) -> None:
        trainer.save_checkpoint(self.folder / "checkpoints" / LAST)

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """A validation is finished before a run that is told to end does so.

        It would be lost else, with the steps before it: a checkpoint cannot stand in its middle.
        """
        if trainer.received_sigterm:
            self.told_to_end = True
            trainer._signal_connector.received_sigterm = False

    def _scored(self, trainer: Trainer) -> bool:
        return bool(data_of(trainer).source.records("val"))

    def on_validation_end(self, trainer: Trainer, module: LightningModule) -> None:
        """Note the scores and draw a sample picture."""
        if trainer.state.fn != "fit" or not isinstance(module, SegmentationModule):
            return
        if self.told_to_end:
            trainer._signal_connector.received_sigterm = True
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
        step = replace(module.make_step(), devices=ALONE, common=None)  # only one process draws
        with torch.no_grad(), trainer.precision_plugin.train_step_context():
            mixes = module.method.pictures(self.batch, step)
        shown = evaluation_pictures(trainer, module)
        blocks = [
            (f"training, step {trainer.global_step}: what the student is asked", mixes),
            ("validation", shown),
        ]
        if mixes or shown:
            gallery(path, blocks, info.classes, info.mean, info.std)

    def on_exception(
        self, trainer: Trainer, module: LightningModule, exception: BaseException
    ) -> None:
        """Save a run that is told to end; leave no folder of one that failed before its first step.

        Lightning raises SIGTERMException between two steps, with all its counts whole. A step that
        was validated has been saved after that.
        """
        validated = bool(self.history) and self.history[-1]["step"] == trainer.global_step
        unfinished = 0 < trainer.global_step < trainer.max_steps
        if isinstance(exception, SIGTERMException) and unfinished and not validated:
            self._save(trainer)
        failed = trainer.global_step == 0 and not isinstance(exception, NonFiniteError)
        if trainer.is_global_zero and failed and self.made:
            shutil.rmtree(self.folder, ignore_errors=True)

    def on_train_end(self, trainer: Trainer, module: LightningModule) -> None:
        """Write the final checkpoint, which knows the last scores, and the summary."""
        self.seconds += time.monotonic() - self.started
        self.started = 0.0
        if not self.history and trainer.is_global_zero and isinstance(module, SegmentationModule):
            self._draw(trainer, module, self._sample(trainer))
        # every process takes part in saving; one of them writes
        self._save(trainer)
        self._finish(trainer, module)

    def on_fit_end(self, trainer: Trainer, module: LightningModule) -> None:
        """Of a run that was cut off after its last step there is no training left, and no end."""
        if trainer.global_step >= trainer.max_steps and not (self.folder / SUMMARY).exists():
            self._finish(trainer, module)

    def _finish(self, trainer: Trainer, module: LightningModule) -> None:
        if not trainer.is_global_zero or not isinstance(module, SegmentationModule):
            return
        self._write_tiles(trainer, module)
        text = json.dumps(self.summary(trainer, module), indent=1)
        # whole or not at all: who finds it knows that the run is finished
        draft = self.folder / f"{SUMMARY}.part"
        draft.write_text(text + "\n", encoding="utf-8")
        draft.replace(self.folder / SUMMARY)
        (self.folder / "checkpoints" / PREVIOUS).unlink(missing_ok=True)

    def _write_tiles(self, trainer: Trainer, module: SegmentationModule) -> None:
        """Single pictures of a few validation images, for reports to put side by side."""
        info = data_of(trainer).info
        folder = self.folder / "samples" / "tiles"
        folder.mkdir(parents=True, exist_ok=True)
        for picture in evaluation_pictures(trainer, module):
            name = picture.title.split()[0]
            for row in range(len(picture.tensor)):
                pixels = picture_pixels(picture, row, info.classes, info.mean, info.std)
                Image.fromarray(pixels).save(folder / f"{name}_{row}.png")

    def summary(self, trainer: Trainer, module: SegmentationModule) -> dict[str, Any]:
        """Everything that a table or a reader may want to know of this run."""
        data, batches = data_of(trainer), module.batches_seen
        method = {"name": self.identity["method"], **plain(module.method.hparams)}
        return {
            "method": method,
            "data": data.describe(),
            "network": {"name": self.identity["network"], **plain(module.method.student.hparams)},
            "optim": plain(vars(module.optim)),
            "seed": self.identity["seed"],
            "command": self.identity["command"],
            "config_hash": self.identity["config_hash"],
            "fingerprints": self.fingerprints,
            "steps": trainer.global_step,
            "exposures": data.exposures(batches, module.num_views),
            "predictor": module.method.predictor,
            "evaluation": evaluation_of(module, data),
            "last": self.last,
            "best": self.best,
            "history": self.history,
            "alarms": alarms_of(trainer),
            "seconds": round(self.seconds, 1),
            "data_wait": round(data.waiting.seconds / max(self.seconds, 1e-9), 3),
            "peak_memory_mb": peak_memory(),
            "device": device_name(module.device),
            "versions": versions(),
            "commit": commit(),
        }

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run goes on from."""
        elapsed = self.seconds + (time.monotonic() - self.started if self.started else 0)
        return {
            "history": self.history,
            "best": self.best,
            "last": self.last,
            "seconds": elapsed,
            "fingerprints": self.fingerprints,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from an interrupted run."""
        self.history, self.best = state_dict["history"], state_dict["best"]
        self.last, self.fingerprints = state_dict["last"], state_dict["fingerprints"]
        self.seconds = state_dict["seconds"]


def alarms_of(trainer: Trainer) -> list[dict[str, Any]]:
    """What went wrong on the way."""
    callbacks: list[Callback] = getattr(trainer, "callbacks", [])
    found = [callback for callback in callbacks if isinstance(callback, Alarms)]
    return [alarm._asdict() for callback in found for alarm in callback.raised]


def fingerprint(*tensors: Tensor) -> str:
    """A short hash of values; equal for equal tensors, wherever they lie."""
    digest = hashlib.sha256()
    for tensor in tensors:
        values = tensor.detach().cpu().contiguous()
        digest.update(f"{values.dtype} {tuple(values.shape)}".encode())
        digest.update(values.flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:12]


def evaluation_pictures(trainer: Trainer, module: SegmentationModule) -> list[Picture]:
    """Input, every network's prediction and the truth of a few validation images."""
    examples = data_of(trainer).examples()
    if examples is None:
        return []
    image, label = (tensor.to(module.device) for tensor in examples)
    image = trainer.precision_plugin.convert_input(image)
    columns = [Picture("input", "image", image)]
    for name, network in module.method.networks.items():
        with evaluating(network), trainer.precision_plugin.val_step_context():
            columns.append(Picture(f"{name} predicts", "label", network(image).argmax(1)))
    return [*columns, Picture("truth", "label", label)]


def data_of(trainer: Trainer) -> SegmentationData:
    """The data of the run under way."""
    data = getattr(trainer, "datamodule", None)
    assert isinstance(data, SegmentationData)
    return data


def evaluation_of(module: SegmentationModule, data: SegmentationData) -> dict[str, Any]:
    """How networks are scored, with every option."""
    infer = module.inference.within(data.crop_size)
    return {
        "protocol": str(infer),
        **plain(vars(infer)),
        "absent": module.absent,
        "eval_masks": data.eval_masks,
        "eval_crop": data.eval_crop,
    }


def device_name(device: torch.device) -> str:
    """What computes, as people call it."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{platform.machine()} CPU, {torch.get_num_threads()} threads"


def peak_memory() -> float:
    """Most memory held at once, in MB: of the GPU where one is used, else of the process."""
    if torch.cuda.is_available():
        return round(torch.cuda.max_memory_allocated() / 2**20, 1)
    try:
        import resource
    except ImportError:  # no such module on Windows
        return 0.0
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit, 1)


def versions() -> dict[str, str]:
    """Of everything that a number may depend on."""
    from importlib.metadata import version

    packages = ("ssseg", "torch", "pytorch-lightning", "timm", "segmentation-models-pytorch")
    return {"python": platform.python_version(), **{name: version(name) for name in packages}}


def commit() -> str | None:
    """The commit of the source tree that ssseg is run from; None where it is not one."""
    here = Path(__file__).resolve().parents[2]
    if not (here / ".git").exists():  # installed, perhaps inside somebody else's repository
        return None
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12"],
            cwd=here,
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None
