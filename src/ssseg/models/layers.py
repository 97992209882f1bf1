"""What encoders and decoders have in common."""

from torch import nn


class Encoder(nn.Module):
    """Images (B, C, H, W) -> a list: the image itself, and feature maps, finest first."""

    out_channels: list[int]
    """Of each of them."""
    divisor: int
    """What the sides of images must be multiples of."""


def conv_bn_relu(channels: int, out_channels: int, kernel: int = 1) -> nn.Sequential:
    """A convolution that keeps the size, batch normalisation, ReLU."""
    return nn.Sequential(
        nn.Conv2d(channels, out_channels, kernel, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    )
