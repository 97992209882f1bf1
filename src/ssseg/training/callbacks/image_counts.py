"""Counts of every single validation image, by which two runs are compared image by image."""

from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor

from ssseg.data.module import data_of
from ssseg.evaluation.metrics import image_counts


class ImageCounts(Callback):
    """Keeps the pixels of each class in every image, of the network that the method predicts with.

    For an evaluation on one device: the order of the images is that of the loader.
    """

    def __init__(self) -> None:
        self.parts: list[Tensor] = []

    @property
    def counts(self) -> Tensor:
        """(N, 3, C) int64 of all N images, as `image_counts` gives them."""
        return torch.cat(self.parts)

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Count every image of the batch on its own."""
        classes = data_of(trainer).num_classes
        for predicted, labeled in zip(outputs["predicted"], batch, strict=True):
            self.parts.append(image_counts(predicted, labeled.label, classes).cpu())
