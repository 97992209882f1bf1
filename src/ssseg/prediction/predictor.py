"""A trained network that predicts class ids and confidences of images at their own size."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from ssseg.data.datasets.base import Array, ClassInfo
from ssseg.data.image_io import read_image
from ssseg.data.info import DataInfo
from ssseg.data.nodata import filled
from ssseg.data.objects import pixels_of
from ssseg.data.torch_datasets import Size, resize_image, resize_mask
from ssseg.data.transforms import Normalize
from ssseg.errors import UserError
from ssseg.evaluation.inference import Inference
from ssseg.models.segmenter import Segmenter
from ssseg.runs.paths import as_path
from ssseg.viz import colorize

TILE = 2048
"""Images of more pixels than a square of this side are predicted in parts."""
MARGIN = 256
"""Pixels of the neighbouring parts that each part includes, so that no edges appear."""


@dataclass(frozen=True)
class Prediction:
    """The classes of an image's pixels."""

    label: Array
    """(H, W) uint8 class ids."""
    confidence: Array
    """(H, W) float16, the probability of that class."""
    classes: Sequence[ClassInfo]

    def image(self) -> Image.Image:
        """The class ids as an image with the classes' colours as its palette."""
        indexed = Image.fromarray(self.label)
        palette = np.zeros((256, 3), np.uint8)
        palette[: len(self.classes)] = [c.color for c in self.classes]
        indexed.putpalette(palette.ravel().tolist())
        return indexed

    def overlay(self, image: Array, opacity: float = 0.5) -> Image.Image:
        """The classes' colours over the image.

        Args:
            image: (H, W, 3) uint8.
            opacity: Of the colours.
        """
        colors = Image.fromarray(colorize(self.label, self.classes))
        return Image.blend(Image.fromarray(image), colors, opacity)


class Predictor(nn.Module):
    """A network with everything that prediction needs.

    Called on normalised images (B, C, H, W) it gives logits (B, num_classes, H, W); `predict` takes
    images as people have them.

    Args:
        network: In eval mode from here on.
        data: What it was trained on.
        name: Which of the method's networks it is: `student`, `teacher`.
        about: What its file says besides: method, network, data, scores and version, plain values.
    """

    def __init__(
        self,
        network: Segmenter,
        data: DataInfo,
        name: str,
        about: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.network = network.eval().requires_grad_(False)
        self.data, self.name = data, name
        self.classes = data.classes
        self.about = dict(about or {})

    def train(self, mode: bool = True) -> "Predictor":
        """Stays in eval mode."""
        return super().train(False)

    def forward(self, image: Tensor) -> Tensor:
        """Logits of normalised images."""
        logits: Tensor = self.network(image)
        return logits

    @property
    def device(self) -> torch.device:
        """The device of the network."""
        return next(self.network.parameters()).device

    def predict(
        self,
        image: str | Path | Image.Image | Array | Tensor,
        mode: Literal["whole", "slide"] = "whole",
        **options: Any,
    ) -> Prediction:
        """The classes of an image, at its own size.

        Args:
            image: A file, a PIL image, an array (H, W) or (H, W, C), or a tensor (C, H, W); values
                as in the files that the model was trained on (a float tensor or array of an 8-bit
                or 16-bit picture is from 0 to 1).
            mode: `whole` at once, or `slide` a window.
            **options: Of `ssseg.evaluation.Inference`: `window`, `stride`, `scales`, `flip`,
                `batch_size`.

        Returns:
            Class ids and confidence. Images of more than 2048 x 2048 pixels are predicted in parts
            that overlap, so that memory stays bounded.

        Raises:
            UserError: For an image of another kind than the model was trained on, or bad options.
        """
        return self.predict_with(Inference(mode, **options), self.pixels_of(image))

    def predict_with(self, infer: Inference, pixels: Array) -> Prediction:
        """What `predict` does, with pixels as `pixels_of` gives them."""
        infer = infer.within(self.data.crop_size)
        if self.data.image_size is not None:
            return self._predict_resized(infer, pixels, self.data.image_size)
        height, width = pixels.shape[:2]
        label = np.empty((height, width), np.uint8)
        confidence = np.empty((height, width), np.float16)
        for core, seen in parts_of(height, width):
            found = self._best(self._scores(infer, pixels[seen]))
            inner = tuple(
                slice(part.start - around.start, part.stop - around.start)
                for part, around in zip(core, seen, strict=True)
            )
            label[core], confidence[core] = found[0][inner], found[1][inner]
        return Prediction(label, confidence, self.classes)

    def _predict_resized(self, infer: Inference, pixels: Array, size: Size) -> Prediction:
        """Predict at the size of training, and resize the result to the size of the image."""
        height, width = pixels.shape[:2]
        scores = self._scores(infer, resize_image(pixels, size))[None]
        # scores of all classes are not held for more pixels than a part has
        shrink = min(1.0, TILE / math.sqrt(height * width))
        most = max(1, round(shrink * height)), max(1, round(shrink * width))
        scores = nn.functional.interpolate(scores, most, mode="bilinear", align_corners=False)
        label, confidence = self._best(scores[0])
        whole = confidence.astype(np.float32)[..., None]
        return Prediction(
            resize_mask(label, (height, width)),
            resize_image(whole, (height, width))[..., 0].astype(np.float16),
            self.classes,
        )

    def _best(self, scores: Tensor) -> tuple[Array, Array]:
        """The likeliest class and its probability, (H, W) uint8 and float16."""
        best = scores.max(0)
        return (
            best.indices.to("cpu", torch.uint8).numpy(),
            best.values.to("cpu", torch.float16).numpy(),
        )

    @torch.inference_mode()
    def _scores(self, infer: Inference, pixels: Array) -> Tensor:
        """Probabilities (K, H, W)."""
        tensor = Normalize(self.data.mean, self.data.std)(pixels)[None].to(self.device)
        scores = infer(self.network, tensor).float()
        return (scores.softmax(1) if infer.plain else scores)[0]

    def pixels_of(self, image: str | Path | Image.Image | Array | Tensor) -> Array:
        """An image as the data side reads it: (H, W, C) uint8, or float32 for other kinds."""
        data = self.data
        if not isinstance(image, (str, Path)):
            return pixels_of(image, data.in_channels, data.pixels)
        path = as_path(image)
        if not path.is_file():
            raise UserError(f"there is no image {path}")
        return filled(read_image(path, data.in_channels, data.pixels), data.mean)


def parts_of(height: int, width: int) -> list[tuple[tuple[slice, slice], tuple[slice, slice]]]:
    """Parts of a large image: the predicted rectangle and the larger input rectangle of each.

    Returns:
        Pairs of (rows, columns): the cores cover the image once; an image of at most 2048 x 2048
        pixels is one part.
    """
    if height * width <= TILE**2:
        whole = slice(0, height), slice(0, width)
        return [(whole, whole)]

    def cuts(side: int) -> list[tuple[slice, slice]]:
        count = math.ceil(side / (TILE - 2 * MARGIN))
        edges = [round(i * side / count) for i in range(count + 1)]
        return [
            (slice(a, b), slice(max(0, a - MARGIN), min(side, b + MARGIN)))
            for a, b in pairwise(edges)
        ]

    return [
        ((rows, columns), (seen_rows, seen_columns))
        for rows, seen_rows in cuts(height)
        for columns, seen_columns in cuts(width)
    ]
