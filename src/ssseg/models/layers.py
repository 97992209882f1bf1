"""Layers that several decoders are made of."""

from torch import nn


def conv_bn_relu(channels: int, out_channels: int, kernel: int = 1) -> nn.Sequential:
    """A convolution that keeps the size, batch normalisation, ReLU."""
    return nn.Sequential(
        nn.Conv2d(channels, out_channels, kernel, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    )
