"""The base class of encoders, and a convolution block that several decoders use."""

from torch import nn


class Encoder(nn.Module):
    """Images (B, C, H, W) -> a list of the image and the feature maps, finest first."""

    out_channels: list[int]
    """Channels of the image and of each feature map."""
    divisor: int
    """Height and width of the images must be multiples of this number."""


def conv_bn_relu(channels: int, out_channels: int, kernel: int = 1) -> nn.Sequential:
    """A convolution that keeps height and width, BatchNorm, ReLU."""
    return nn.Sequential(
        nn.Conv2d(channels, out_channels, kernel, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    )
