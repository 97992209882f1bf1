"""Scores of single images, kept on the device; they decide which images the page shows."""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
import torch
from pytorch_lightning import Trainer
from torch import Tensor

from ssseg.data.datasets.base import Array, Record
from ssseg.data.info import DataInfo
from ssseg.data.module import data_of
from ssseg.data.torch_datasets import by_size
from ssseg.evaluation.metrics import SegmentationScores, image_counts
from ssseg.models.segmenter import evaluating
from ssseg.training.module import SegmentationModule
from ssseg.types import IGNORE, Labeled
from ssseg.viz import IGNORE_COLOR, colorize, displayable

SIDE = 360
"""Longest side of a picture, in pixels."""
WRONG = (222, 30, 70)
"""Colour of wrong pixels."""


class Shown(NamedTuple):
    """An image that the page shows. Shares in [0, 1]."""

    place: int
    """Among the records of the split."""
    miou: float
    pixel_accuracy: float


class ImageScores:
    """Two floats per image of this device's share, on the device until the pass is over.

    Args:
        num_classes: Number of classes.
    """

    def __init__(self, num_classes: int) -> None:
        self.num_classes = num_classes
        self.batches: list[Tensor] = []
        self.mixed: set[int] = set()
        """Batches of images of several sizes, which are stacked apart."""

    def __len__(self) -> int:
        return sum(map(len, self.batches))

    def add(self, predicted: Sequence[Tensor], batch: Sequence[Labeled]) -> None:
        """Note the scores of the next batch."""
        if len(batch) > 1:
            self.mixed.add(len(self.batches))
        pairs = zip(predicted, batch, strict=True)
        scores = [image_scores(found, labeled.label, self.num_classes) for found, labeled in pairs]
        self.batches.append(torch.cat(scores))

    def extremes(self, trainer: Trainer, count: int) -> tuple[list[Shown], list[Shown]]:
        """The worst and the best images over all devices; all of them take part.

        Args:
            trainer: Whose pass over the images has just ended.
            count: How many of each.
        """
        scores = torch.cat(self.batches).tolist() if self.batches else []
        mine = worst_and_best([Shown(i, *row) for i, row in enumerate(scores)], count)
        device = trainer.strategy.root_device
        sent = torch.full((2 * count, 3), float("nan"), device=device)
        for row, one in enumerate([*mine[0], *mine[1]]):
            place = self._record(trainer, one.place) * trainer.world_size + trainer.global_rank
            sent[row] = torch.tensor([place, one.miou, one.pixel_accuracy])
        rows = trainer.strategy.all_gather(sent).reshape(-1, 3).tolist()
        return worst_and_best([Shown(int(r[0]), r[1], r[2]) for r in rows if r[0] == r[0]], count)

    def _record(self, trainer: Trainer, number: int) -> int:
        """The index of a record of this device, from the number of the image on this device."""
        batch = 0
        while number >= len(self.batches[batch]):
            number -= len(self.batches[batch])
            batch += 1
        loader = trainer.test_dataloaders if trainer.testing else trainer.val_dataloaders
        assert loader is not None
        records: list[int] = list(loader.batch_sampler)[batch]
        if batch in self.mixed:
            groups = by_size([loader.dataset[record] for record in records])
            records = [records[place] for group in groups for place in group]
        return records[number]


def image_scores(predicted: Tensor, label: Tensor, num_classes: int) -> Tensor:
    """Scores of every image on its own; copies nothing to the host and waits for nothing.

    Args:
        predicted: (B, H, W) int64 classes.
        label: (B, H, W) int64; IGNORE where unknown.
        num_classes: Number of classes.

    Returns:
        (B, 2) float32: mean IoU over the classes that occur in the image's truth or prediction, and
        pixel accuracy; NaN for an image without labeled pixels.
    """
    hit, truth, guess = image_counts(predicted, label, num_classes).unbind(1)
    miou = (hit / (truth + guess - hit)).nanmean(1)
    return torch.stack([miou, hit.sum(1) / truth.sum(1)], 1)


def worst_and_best(found: Sequence[Shown], count: int) -> tuple[list[Shown], list[Shown]]:
    """The images of lowest and of highest mIoU, each the most extreme one first; none in both."""
    known = [one for one in found if one.miou == one.miou]  # not NaN
    order = sorted(known, key=lambda one: (one.miou, one.place))
    half = len(order) // 2
    return order[: min(count, len(order) - half)], order[::-1][: min(count, half)]


class Tiles(NamedTuple):
    """Pictures of an image, (H, W, 3) uint8 of one size."""

    input: Array
    prediction: Array
    truth: Array
    errors: Array


@torch.no_grad()
def draw(trainer: Trainer, module: SegmentationModule, records: Sequence[Record]) -> list[Tiles]:
    """Read and predict the chosen images again, for their pictures.

    Args:
        trainer: For the data and the precision.
        module: Whose predictor predicts, as it is scored.
        records: The images.
    """
    data = data_of(trainer)
    dataset = data.eval_images(records)
    infer = module.inference.within(data.crop_size)
    network = module.method.networks[module.method.predictor]
    out = []
    for place in range(len(records)):
        sample = dataset[place]
        image, label = (tensor[None].to(module.device) for tensor in sample)
        with evaluating(network), trainer.precision_plugin.forward_context():
            scores = infer(network, image)
        predicted = SegmentationScores(data.num_classes).to(module.device).add(scores, label)
        out.append(tiles(sample, predicted[0].cpu().numpy(), data.info))
    return out


def tiles(sample: Labeled, predicted: Array, info: DataInfo) -> Tiles:
    """The pictures of an image, at most `SIDE` pixels high and wide.

    Args:
        sample: Image (C, h, w), normalised, and its label (H, W).
        predicted: (H, W) classes.
        info: Colours and normalisation.
    """
    label = sample.label.numpy()
    factor = min(1.0, SIDE / max(label.shape))
    width, height = (max(1, round(side * factor)) for side in label.shape[::-1])

    def small(values: Array, how: int) -> Array:
        resized: Array = cv2.resize(values, (width, height), interpolation=how)
        return resized

    photo = small(displayable(sample.image, info.mean, info.std), cv2.INTER_AREA)
    truth = small(label.astype(np.uint8), cv2.INTER_NEAREST_EXACT)
    guess = small(predicted.astype(np.uint8), cv2.INTER_NEAREST_EXACT)
    errors = (0.5 * photo.mean(-1, keepdims=True).repeat(3, -1) + 50).astype(np.uint8)
    errors[truth != guess] = WRONG
    errors[truth == IGNORE] = IGNORE_COLOR
    return Tiles(photo, colorize(guess, info.classes), colorize(truth, info.classes), errors)
