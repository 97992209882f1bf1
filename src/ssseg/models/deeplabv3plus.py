"""DeepLabV3+ as the semi-supervised field has it: ST++, UniMatch, CorrMatch, PrevMatch, CPS."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from segmentation_models_pytorch.decoders.deeplabv3.decoder import ASPP
from torch import Tensor, nn

from ssseg.models.layers import conv_bn_relu

RATES = (6, 12, 18)
"""Dilations at an output stride of 16; twice these at 8."""
LOW = 2
"""The feature map of stride 4, which is joined to the deepest one."""


class DeepLabV3PlusDecoder(nn.Module):
    """ASPP, joined to features of stride 4, two 3 x 3 convolutions and a 1 x 1 convolution.

    segmentation-models-pytorch's differs in four points, each of which changes the results: its
    dilations are 12, 24, 36 at any stride, its convolutions are separable, it drops half of what
    the ASPP gives, and it fuses with one convolution.

    Args:
        encoder_channels: Channels of the encoder's feature maps, finest first; the third and the
            last one are used.
        num_classes: Channels of the logits.
        output_stride: Of the last feature map; decides the dilations.
        atrous_rates: Dilations of the ASPP. None: `RATES`, as far apart in the image.
        aspp_separable: Separable convolutions in the ASPP.
        aspp_dropout: Probability that a value of the ASPP is dropped.
        channels: Of the ASPP and the fused features.
        low_channels: That the features of stride 4 are reduced to.

    Raises:
        ValueError: For an encoder of fewer than three stages.
    """

    def __init__(
        self,
        encoder_channels: Sequence[int],
        num_classes: int,
        output_stride: int = 16,
        atrous_rates: Sequence[int] | None = None,
        aspp_separable: bool = False,
        aspp_dropout: float = 0.0,
        channels: int = 256,
        low_channels: int = 48,
    ) -> None:
        super().__init__()
        if len(encoder_channels) < LOW + 2:
            raise ValueError("it needs an encoder of at least three stages")
        if atrous_rates is None:
            atrous_rates = [round(16 * rate / output_stride) for rate in RATES]
        deepest = encoder_channels[-1]
        self.aspp = ASPP(deepest, channels, list(atrous_rates), aspp_separable, aspp_dropout)
        self.low = conv_bn_relu(encoder_channels[LOW], low_channels)
        self.fuse = nn.Sequential(
            conv_bn_relu(channels + low_channels, channels, 3),
            conv_bn_relu(channels, channels, 3),
        )
        self.classifier = nn.Conv2d(channels, num_classes, 1)

    def forward(self, feats: list[Tensor]) -> Tensor:
        """Logits (B, num_classes, h, w) at stride 4."""
        low = self.low(feats[LOW])
        deep = self.aspp(feats[-1])
        if deep.shape[-2:] != low.shape[-2:]:
            deep = F.interpolate(deep, low.shape[-2:], mode="bilinear", align_corners=True)
        logits: Tensor = self.classifier(self.fuse(torch.cat((deep, low), 1)))
        return logits
