"""The light decoders of CCT, which read the deepest features alone."""

import math

import torch
from torch import Tensor, nn


class AuxiliaryDecoder(nn.Module):
    """A 1 x 1 convolution to C channels, then sub-pixel convolutions that double the size.

    Ouali et al., CVPR 2020. Each doubling is a 1 x 1 convolution to 4 C channels and a
    rearrangement of them; its weights give the four sub-pixels the same value at the start (ICNR).
    There is a ReLU in each but the last; the released code has one there too, so that its logits
    are never negative.

    Args:
        channels: Channels of the deepest features.
        num_classes: Number of classes C.
        stride: Of the deepest features, at least 1; the logits have a stride of at most 2.
    """

    def __init__(self, channels: int, num_classes: int, stride: int) -> None:
        super().__init__()
        first = nn.Conv2d(channels, num_classes, 1, bias=False)
        nn.init.kaiming_normal_(first.weight)
        layers: list[nn.Module] = [first]
        doublings = int(math.log2(stride))
        for number in range(doublings):
            expand = nn.Conv2d(num_classes, 4 * num_classes, 1)
            like_icnr(expand)
            layers += [expand, *([nn.ReLU()] if number < doublings - 1 else []), nn.PixelShuffle(2)]
        self.layers = nn.Sequential(*layers)

    def forward(self, feats: Tensor) -> Tensor:
        """(B, channels, h, w) -> logits (B, num_classes, k * h, k * w), k a power of two."""
        logits: Tensor = self.layers(feats)
        return logits


@torch.no_grad()
def like_icnr(layer: nn.Conv2d) -> None:
    """Initialise a convolution in front of `PixelShuffle(2)`: equal sub-pixels."""
    small = torch.empty_like(layer.weight[::4])
    nn.init.kaiming_normal_(small)
    layer.weight.copy_(small.repeat_interleave(4, 0))
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
