"""DeepLabV3+ as in semi-supervised code: ST++, UniMatch, CorrMatch, PrevMatch, CPS."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from segmentation_models_pytorch.decoders.deeplabv3.decoder import ASPP
from torch import Tensor, nn

from ssseg.models.layers import Decoder, conv_bn_relu

RATES = (6, 12, 18)
"""Dilations at an output stride of 16; doubled at 8."""
LOW = 2
"""Index of the feature map of stride 4, which is concatenated with the deepest one."""


class DeepLabV3PlusDecoder(Decoder):
    """ASPP, concatenation with features of stride 4, two 3 x 3 and one 1 x 1 convolution.

    The decoder of segmentation-models-pytorch differs in four points, each of which changes the
    results: dilations 12, 24, 36 at any stride, separable convolutions, dropout of 0.5 after the
    ASPP, and one convolution after the concatenation.

    Args:
        encoder_channels: Channels of the encoder's feature maps, finest first; the third and the
            last one are used.
        num_classes: Channels of the logits.
        output_stride: Stride of the last feature map, which sets the default dilations.
        atrous_rates: Dilations of the ASPP. None: `RATES` times 16 / `output_stride`.
        aspp_separable: Use separable convolutions in the ASPP.
        aspp_dropout: Dropout probability after the ASPP.
        channels: Channels of the ASPP and of the convolutions after the concatenation.
        low_channels: Channels of the reduced features of stride 4.

    Raises:
        ValueError: For an encoder with fewer than three stages.
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
            raise ValueError("the decoder needs an encoder with at least three stages")
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
        self.hidden_channels = channels

    def hidden(self, feats: list[Tensor]) -> Tensor:
        """(B, channels, h, w) at stride 4."""
        low = self.low(feats[LOW])
        deep = self.aspp(feats[-1])
        if deep.shape[-2:] != low.shape[-2:]:
            deep = F.interpolate(deep, low.shape[-2:], mode="bilinear", align_corners=True)
        fused: Tensor = self.fuse(torch.cat((deep, low), 1))
        return fused

    def classify(self, hidden: Tensor) -> Tensor:
        """Logits (B, num_classes, h, w) at stride 4."""
        logits: Tensor = self.classifier(hidden)
        return logits
