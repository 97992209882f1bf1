"""Critics: networks that tell ground truth from predictions, for adversarial methods."""

from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ssseg.models.layers import full

WIDTHS = (64, 128, 256, 512)
"""Channels after each convolution of stride 2."""
LEAST = 32
"""Sides to which smaller inputs are enlarged: five convolutions of stride 2 need as much."""
DROPOUT = 0.5
"""Probability that `Dropout2d` sets a channel to 0."""


def at_least(maps: Tensor, side: int) -> Tensor:
    """Maps (B, C, H, W), enlarged (bilinear) where height or width is below `side`."""
    height, width = maps.shape[-2:]
    if height >= side and width >= side:
        return maps
    size = (max(height, side), max(width, side))
    return F.interpolate(maps, size, mode="bilinear", align_corners=False)


def without_gradient(module: nn.Module, *inputs: Tensor) -> Any:
    """What a module computes; its inputs get a gradient, its parameters do not.

    A generator's loss is computed so. The critic's own loss reads the generator's detached output,
    so that one backward pass of the sum of both gives what two optimisers would get.
    """
    frozen = {name: p.detach() for name, p in module.named_parameters()}
    return torch.func.functional_call(module, frozen, inputs)


def convolution(channels: int, out_channels: int, *, bias: bool = True) -> nn.Conv2d:
    """A 4 x 4 convolution that halves height and width."""
    return nn.Conv2d(channels, out_channels, 4, stride=2, padding=1, bias=bias)


class PixelCritic(nn.Module):
    """Says of every pixel whether maps of class probabilities are ground truth (AdvSemiSeg).

    Hung et al., "Adversarial learning for semi-supervised semantic segmentation", BMVC 2018.

    Args:
        num_classes: Number of classes C.
    """

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for channels, out_channels in pairwise((num_classes, *WIDTHS)):
            layers += [convolution(channels, out_channels), nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers, convolution(WIDTHS[-1], 1))

    def forward(self, probs: Tensor) -> Tensor:
        """Probabilities (B, C, H, W) -> logits (B, H, W) in at least float32, high for truth."""
        logits = full(self.layers(at_least(probs, LEAST)))
        size = probs.shape[-2:]
        return F.interpolate(logits, size, mode="bilinear", align_corners=False)[:, 0]


class ImageCritic(nn.Module):
    """Says of an image with a map of class probabilities whether the map is ground truth (s4GAN).

    Mittal, Tatarchenko & Brox, "Semi-supervised semantic segmentation with high- and low-level
    consistency", TPAMI 2021.

    Args:
        channels: Of the image and the probabilities together.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [convolution(channels, WIDTHS[0]), nn.LeakyReLU(0.2)]
        for width, out_channels in pairwise(WIDTHS):
            layers += [convolution(width, out_channels), nn.LeakyReLU(0.2), nn.Dropout2d(DROPOUT)]
        self.layers = nn.Sequential(*layers)
        self.classifier = nn.Linear(WIDTHS[-1], 1)

    def forward(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        """Maps (B, channels, H, W) -> features (B, 512) and logits (B,), high for truth.

        Both are in at least float32.
        """
        features = self.layers(at_least(maps, LEAST)).mean((2, 3))
        return full(features), full(self.classifier(features))[:, 0]
