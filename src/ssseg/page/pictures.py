"""Pictures of a few images: input, prediction, truth, and where the prediction is wrong."""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
import torch
from pytorch_lightning import Trainer

from ssseg.data.datasets.base import Array, Record
from ssseg.data.module import DataInfo, data_of
from ssseg.evaluation.metrics import Confusion
from ssseg.models.segmenter import evaluating
from ssseg.module import SegmentationModule
from ssseg.types import IGNORE, Labeled
from ssseg.viz import IGNORE_COLOR, colorize, displayable

SIDE = 360
"""Longest side of a picture, in pixels."""
WRONG = (222, 30, 70)
"""Colour of wrong pixels."""


class Tiles(NamedTuple):
    """Pictures of an image, (H, W, 3) uint8 of one size."""

    input: Array
    prediction: Array
    truth: Array
    errors: Array


@torch.no_grad()
def draw(trainer: Trainer, module: SegmentationModule, records: Sequence[Record]) -> list[Tiles]:
    """Read and predict images once more, now to look at them.

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
        predicted = Confusion(data.num_classes).to(module.device).add(scores, label)
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
