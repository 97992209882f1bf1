"""Writes the page of an evaluation after the last image."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer

from ssseg.data.datasets.base import Split
from ssseg.data.module import data_of
from ssseg.evaluation.inference import Inference
from ssseg.evaluation.metrics import SegmentationScores
from ssseg.reports.evaluation.images import ImageScores, Shown, draw
from ssseg.reports.evaluation.page import evaluation_page
from ssseg.reports.evaluation.results import (
    EvaluationResults,
    confusion_csv,
    protocol,
    scores_csv,
    shown_as_dict,
)
from ssseg.runs.environment import commit, device_name, versions
from ssseg.training.callbacks.run_folder import evaluation_of
from ssseg.training.module import SegmentationModule

SHOWN = 6
"""The number of worst images, and of best images, on the page."""


class EvaluationPage(Callback):
    """Writes index.html, scores.json, scores.csv and confusion.csv of one evaluation.

    During the pass it keeps two numbers per image on the device, nothing else; the images that the
    page shows are read and predicted once more at its end.

    Args:
        out: The folder, new or empty. None: `test-<split>-<mode>` beside the checkpoint's folder,
            or the next free name.
        checkpoint: What is evaluated.
        about: What `origin` knows of it.
    """

    def __init__(self, out: str | None, checkpoint: Path, about: Mapping[str, Any]) -> None:
        self.out = None if out is None else Path(out)
        self.checkpoint, self.about = checkpoint, about
        self.folder: Path | None = None
        """The path of the page; None until it is written."""

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Reset the counts."""
        self.images = ImageScores(data_of(trainer).num_classes)

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Score each image on its own, on the device."""
        self.images.add(outputs["predicted"], batch)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keep the counts over all devices; the module is about to score and forget them."""
        assert isinstance(pl_module, SegmentationModule)
        self.matrices: dict[str, list[list[int]]] = {}
        for name, confusion in pl_module.metrics.confusion.items():
            assert isinstance(confusion, SegmentationScores)
            self.matrices[name] = confusion.compute().tolist()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Choose the pictures over all devices; one process draws them and writes the page."""
        assert isinstance(pl_module, SegmentationModule)
        worst, best = self.images.extremes(trainer, SHOWN)
        counted = torch.tensor(len(self.images), device=trainer.strategy.root_device)
        images = int(trainer.strategy.reduce(counted, reduce_op="sum"))
        if trainer.is_global_zero:
            split: Split = "test" if trainer.testing else "val"
            total = len(data_of(trainer).source.records(split))
            found = EvaluationResults(split, images, total, pl_module.scores, self.matrices)
            self._write(trainer, pl_module, found, worst, best)

    on_test_start = on_validation_start
    on_test_batch_end = on_validation_batch_end
    on_test_epoch_end = on_validation_epoch_end
    on_test_end = on_validation_end

    def _write(
        self,
        trainer: Trainer,
        module: SegmentationModule,
        found: EvaluationResults,
        worst: Sequence[Shown],
        best: Sequence[Shown],
    ) -> None:
        data = data_of(trainer)
        names = [c.name for c in data.source.classes]
        records = data.source.records(found.split)
        sides = [[records[one.place] for one in side] for side in (worst, best)]
        pictures = [draw(trainer, module, side) for side in sides]
        folder = self.out or run_folder(self.checkpoint) / page_name(found.split, module.inference)
        doc: dict[str, Any] = {
            "data": {
                "name": data.source.name,
                "split": found.split,
                "images": found.images,
                "classes": [{"name": c.name, "color": list(c.color)} for c in data.source.classes],
            },
            "checkpoint": _relative(self.checkpoint, folder),
            **self.about,
            "predictor": module.method.predictor,
            "networks": {name: scores.as_dict(names) for name, scores in found.scores.items()},
            "evaluation": {
                **evaluation_of(module, data),
                "words": protocol(module, data, found),
            },
            "worst": shown_as_dict(worst, sides[0]),
            "best": shown_as_dict(best, sides[1]),
            "device": device_name(module.device),
            "versions": versions(),
            "commit": commit(),
        }
        files = {
            "scores.csv": scores_csv(names, found),
            "confusion.csv": confusion_csv(names, found),
            "index.html": evaluation_page(doc, found.matrices[module.method.predictor], *pictures),
            "scores.json": json.dumps(doc, indent=1) + "\n",  # the last: who finds it finds all
        }
        if self.out is None:
            folder = _new_folder(folder)
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (folder / name).write_text(text, encoding="utf-8")
        self.folder = folder


def run_folder(checkpoint: Path) -> Path:
    """The folder that holds `checkpoints/`; of a checkpoint elsewhere, its own."""
    beside = checkpoint.parent
    return beside.parent if beside.name == "checkpoints" else beside


def page_name(split: str, inference: Inference) -> str:
    """The name of the folder, e.g. `test-val-slide-6scales-flip`."""
    words = ["test", split, inference.mode]
    if tuple(inference.scales) != (1.0,):
        count = len(inference.scales)
        words.append(f"{count}scales" if count > 1 else f"scale{inference.scales[0]:g}")
    return "-".join([*words, *["flip"] * inference.flip])


def _new_folder(wanted: Path) -> Path:
    """A folder of this name, or with the next free number behind it, made now."""
    number, folder = 1, wanted
    while True:
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            number += 1
            folder = wanted.with_name(f"{wanted.name}-{number}")
        else:
            return folder


def _relative(path: Path, folder: Path) -> str:
    """A path relative to a folder, with slashes; the file name alone where there is none."""
    try:
        return Path(os.path.relpath(path, folder)).as_posix()
    except ValueError:  # another drive
        return path.name
