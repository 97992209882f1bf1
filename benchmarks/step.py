"""Time of a ClassMix step in the trainer, compared with a plain loop of the same computation.

Both train the same network on the same batch in one process, in turns of one step, so that other
load on the machine affects both. The time of ssseg includes all work of `ssseg fit` between two
batches: trainer, module, logging, metrics, alerts, progress file. The loop is eager torch.

    python benchmarks/step.py --encoder resnet18 --crop 128 --batch 2 --json step.json

It takes two minutes on one core with the defaults. The median ratio should be at most 1.03 if the
network takes most of the time.
"""

import argparse
import copy
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from itertools import repeat
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from common import noise, save
from pytorch_lightning import Callback, LightningDataModule, LightningModule, Trainer

from ssseg import SegmentationModule
from ssseg.methods import ClassMix
from ssseg.models import Segmenter
from ssseg.ops import class_mask
from ssseg.runs.quiet import ignore_messages
from ssseg.training.callbacks.alerts import TrainingAlerts
from ssseg.training.callbacks.nan_guard import StopAtNaN
from ssseg.training.callbacks.progress import ProgressFile
from ssseg.training.csv_logger import StepLogger
from ssseg.types import IGNORE, Batch

DECAY, THRESHOLD, LR = 0.99, 0.968, 1e-4


def plain_loop(network: Segmenter, batch: Batch, classes: int) -> Callable[[], None]:
    """A function that does one step of ClassMix, in plain torch."""
    student = copy.deepcopy(network).train()
    # as in the published code, the teacher uses batch statistics
    teacher = copy.deepcopy(network).requires_grad_(False).train()
    optimizer = torch.optim.AdamW(student.parameters(), lr=LR, weight_decay=1e-4)
    generator = torch.Generator().manual_seed(0)
    averaged = [p for p in teacher.state_dict().values() if p.is_floating_point()]
    followed = [p for p in student.state_dict().values() if p.is_floating_point()]
    image, label = batch.labeled
    weak = batch.unlabeled.views[0]

    def step() -> None:
        with torch.no_grad():
            confidence, hard = teacher(weak).softmax(1).max(1)
        mask = class_mask(hard, classes, generator=generator)
        mixed = torch.where(mask, weak, weak.roll(-1, 0))
        target = torch.where(mask[:, 0], hard, hard.roll(-1, 0))
        trusted = (confidence >= THRESHOLD).float()
        trusted = torch.where(mask[:, 0], trusted, trusted.roll(-1, 0))
        weight = trusted.mean((1, 2), keepdim=True)
        supervised = F.cross_entropy(student(image), label, ignore_index=IGNORE)
        error = F.cross_entropy(student(mixed), target, reduction="none")
        optimizer.zero_grad()
        torch.autograd.backward(supervised + (weight * error).mean())
        optimizer.step()
        torch._foreach_lerp_(averaged, followed, 1 - DECAY)

    return step


class Turns(Callback):
    """Does one step of the loop after every step of the trainer, and times both."""

    def __init__(self, loop: Callable[[], None]) -> None:
        self.loop = loop
        self.ours: list[float] = []
        self.theirs: list[float] = []
        self.since = 0.0

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        """Start the timer."""
        self.since = time.perf_counter()

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        """Do a step of the loop; later callbacks count for the next step of the trainer."""
        now = time.perf_counter()
        self.ours.append(now - self.since)
        self.loop()
        self.since = time.perf_counter()
        self.theirs.append(self.since - now)


class OneBatch(LightningDataModule):
    """The same batch at every step."""

    def __init__(self, batch: Batch) -> None:
        super().__init__()
        self.batch = batch

    def train_dataloader(self) -> Any:
        """An infinite loader."""
        return repeat(self.batch)


def measure(given: argparse.Namespace) -> dict[str, Any]:
    """Median times of both, the median of their ratios, and the ratio of the sums.

    Only some steps log numbers. They affect `ratio_of_sums`, but not the medians.
    """
    torch.manual_seed(0)
    classes = given.classes
    network = Segmenter(classes, encoder=given.encoder, decoder=given.decoder)
    data = noise(given.batch, given.crop, classes)
    turns = Turns(plain_loop(network, data, classes))
    module = SegmentationModule(ClassMix(warmup_steps=0.0, threshold=THRESHOLD), network, seed=0)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        trainer = Trainer(
            max_steps=given.steps + given.warmup,
            max_epochs=-1,
            accelerator="cpu",
            callbacks=[StopAtNaN(folder), ProgressFile(folder), TrainingAlerts(), turns],
            logger=StepLogger(folder, None),
            log_every_n_steps=10,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(module, OneBatch(data))
    ours, theirs = turns.ours[given.warmup :], turns.theirs[given.warmup :]
    ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
    return {
        "ours_ms": 1e3 * statistics.median(ours),
        "loop_ms": 1e3 * statistics.median(theirs),
        "ratio": statistics.median(ratios),
        "ratio_of_sums": sum(ours) / sum(theirs),
        "steps": given.steps,
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--encoder", default="resnet18")
    parser.add_argument("--decoder", default="deeplabv3plus")
    parser.add_argument("--crop", type=int, default=128)
    parser.add_argument("--batch", type=int, default=2, help="labeled images; also unlabeled ones")
    parser.add_argument("--classes", type=int, default=11)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--warmup", type=int, default=5, help="steps that are not counted")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    ignore_messages()
    torch.set_num_threads(given.threads)
    found = measure(given)
    print(
        f"{given.decoder} on {given.encoder}, {given.batch} + {given.batch} images of "
        f"{given.crop} x {given.crop}, {platform.machine()}, torch {torch.__version__}"
    )
    print(f"ssseg {found['ours_ms']:.1f} ms   loop {found['loop_ms']:.1f} ms per step")
    print(
        f"median ratio of {found['steps']} pairs: {found['ratio']:.3f}; ratio of the total times, "
        f"with logging: {found['ratio_of_sums']:.3f}"
    )
    save(given, **found)


if __name__ == "__main__":
    main()
