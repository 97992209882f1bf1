"""The flaw detector of GCT, which says where a prediction is wrong."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ssseg.models.critics import at_least
from ssseg.models.layers import full

LEAST = 64
"""Sides to which smaller inputs are enlarged, so that there are 2 x 2 positions at the end."""
LAYERS = ((64, 2), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (512, 1))
"""Channels and stride of the convolutions."""


class HalfInstanceNorm(nn.Module):
    """BatchNorm of the first half of the channels, and InstanceNorm of the second.

    Args:
        channels: Number of channels, even.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.batch = nn.BatchNorm2d(channels // 2)
        self.instance = nn.InstanceNorm2d(channels // 2)

    def forward(self, feats: Tensor) -> Tensor:
        """(B, channels, h, w) -> the same shape."""
        first, second = feats.chunk(2, 1)
        return torch.cat((self.batch(first), self.instance(second)), 1)


class FlawDetector(nn.Module):
    """An image and class probabilities -> where the probabilities are wrong.

    Ke et al., "Guided collaborative training for pixel-wise semi-supervised learning", ECCV 2020.

    Args:
        channels: Of the image and the probabilities together.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for width, stride in LAYERS:
            # both norms remove a bias; 4 x 4 convolutions of stride 1 would lose a pixel each
            kernel = 2 + stride
            convolution = nn.Conv2d(channels, width, kernel, stride, padding=1, bias=False)
            layers += [convolution, HalfInstanceNorm(width), nn.LeakyReLU(0.2)]
            channels = width
        last = nn.Conv2d(channels, 1, 4, stride=2, padding=1)
        assert last.bias is not None
        # the middle of the range of flaws; near 0, no flaw would count before it is trained
        nn.init.constant_(last.bias, 0.5)
        self.layers = nn.Sequential(*layers, last)

    def forward(self, maps: Tensor) -> Tensor:
        """Maps (B, channels, H, W) -> flaws (B, H, W), about 0 to 1, in at least float32."""
        flaws = full(self.layers(at_least(maps, LEAST)))
        size = maps.shape[-2:]
        return F.interpolate(flaws, size, mode="bilinear", align_corners=True)[:, 0]
