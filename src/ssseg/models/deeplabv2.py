"""The DeepLab-v2 head (Chen et al., TPAMI 2018): parallel dilated convolutions, summed."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ssseg.models.layers import Decoder

DILATIONS = (6, 12, 18, 24)


class DeepLabV2Decoder(Decoder):
    """Sum of 3 x 3 convolutions of the last feature map, one per dilation.

    Args:
        encoder_channels: Channels of the encoder's feature maps; the last one is used.
        num_classes: Channels of the logits.
        aspp_branches: Number of dilations, 4 as published. The released code of ClassMix, DACS,
            AdvSemiSeg, s4GAN and CutMix-Seg returns inside its loop and sums only the first 2
            dilations; pass 2 to reproduce it.

    Raises:
        ValueError: For an `aspp_branches` outside 1..4.
    """

    def __init__(
        self, encoder_channels: Sequence[int], num_classes: int, aspp_branches: int = 4
    ) -> None:
        super().__init__()
        if not 1 <= aspp_branches <= len(DILATIONS):
            raise ValueError(f"aspp_branches must lie in 1..{len(DILATIONS)}, got {aspp_branches}")
        branches = [
            nn.Conv2d(encoder_channels[-1], num_classes, 3, padding=d, dilation=d)
            for d in DILATIONS[:aspp_branches]
        ]
        for branch in branches:
            nn.init.normal_(branch.weight, std=0.01)
        self.branches = nn.ModuleList(branches)
        self.hidden_channels = encoder_channels[-1]

    def hidden(self, feats: list[Tensor]) -> Tensor:
        """The last feature map."""
        return feats[-1]

    def classify(self, hidden: Tensor) -> Tensor:
        """Logits (B, num_classes, h, w)."""
        return torch.stack([branch(hidden) for branch in self.branches]).sum(0)
