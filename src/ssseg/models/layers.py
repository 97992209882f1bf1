"""The base classes of encoders and decoders, and what several of them use."""

import torch
from torch import Tensor, nn


class Encoder(nn.Module):
    """Images (B, C, H, W) -> a list of the image and the feature maps, finest first."""

    out_channels: list[int]
    """Channels of the image and of each feature map."""
    divisor: int
    """Height and width of the images must be multiples of this number."""


class Decoder(nn.Module):
    """Feature maps of an encoder, finest first -> logits at the stride of the decoder.

    The features in front of the last convolution are available as well, see `Segmenter.hidden`.
    """

    hidden_channels: int
    """Channels of these features."""

    def hidden(self, feats: list[Tensor]) -> Tensor:
        """The features in front of the last convolution, (B, hidden_channels, h, w)."""
        raise NotImplementedError

    def classify(self, hidden: Tensor) -> Tensor:
        """Logits (B, num_classes, h', w') of these features."""
        raise NotImplementedError

    def forward(self, feats: list[Tensor]) -> Tensor:
        """Logits (B, num_classes, h', w') of feature maps."""
        return self.classify(self.hidden(feats))


def conv_bn_relu(channels: int, out_channels: int, kernel: int = 1) -> nn.Sequential:
    """A convolution that keeps height and width, BatchNorm, ReLU."""
    return nn.Sequential(
        nn.Conv2d(channels, out_channels, kernel, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    )


def full(values: Tensor) -> Tensor:
    """The values in at least float32."""
    return values.to(torch.promote_types(values.dtype, torch.float32))
