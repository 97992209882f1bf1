"""GuidedMix-Net's network: PSP features, and a U-shaped decoder of MITrans stages."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from segmentation_models_pytorch.decoders.pspnet.decoder import PSPModule
from torch import Tensor, nn

from ssseg.models.layers import Decoder, conv_bn_relu


class MutualAttention(nn.Module):
    """The residual self-attention of MITrans (Eq. 5).

    Q and K have half of the channels, V has all of them. The softmax is over the positions of the
    keys. (The paper says "over the channel dimension", which does not fit its sum over positions.)

    Args:
        channels: Channels of the features, even.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.query = nn.Conv2d(channels, channels // 2, 1)
        # a bias of the keys adds the same number to all scores of a softmax, without effect
        self.key = nn.Conv2d(channels, channels // 2, 1, bias=False)
        self.value = nn.Conv2d(channels, channels, 1)

    def forward(self, feats: Tensor) -> Tensor:
        """(B, C, h, w) -> the same shape."""
        batch, channels, height, width = feats.shape
        # memory-efficient kernels need the same width of Q, K and V, so the halves of V are two
        # heads with the same Q and K; they also need the channels contiguous in memory
        query, key = (
            layer(feats).flatten(2).transpose(1, 2).contiguous().unsqueeze(1).expand(-1, 2, -1, -1)
            for layer in (self.query, self.key)
        )
        value = self.value(feats).view(batch, 2, channels // 2, -1).transpose(2, 3).contiguous()
        found = F.scaled_dot_product_attention(query, key, value)
        return feats + found.transpose(2, 3).reshape(batch, channels, height, width)


class Stage(nn.Module):
    """MITrans: attention, a convolution, PixelShuffle to twice the size, fusion with the skip.

    Args:
        channels: Channels of the coarse features.
        skip_channels: Channels of the encoder's features at twice the size.
        out_channels: Channels of the result.
        attention: Whether the stage has attention; without it this is a plain U-Net stage.
    """

    def __init__(
        self, channels: int, skip_channels: int, out_channels: int, attention: bool
    ) -> None:
        super().__init__()
        self.attention = MutualAttention(channels) if attention else nn.Identity()
        self.expand = conv_bn_relu(channels, 4 * out_channels)
        self.fuse = nn.Sequential(
            conv_bn_relu(out_channels + skip_channels, out_channels, 3),
            conv_bn_relu(out_channels, out_channels, 3),
        )

    def forward(self, feats: Tensor, skip: Tensor) -> Tensor:
        """(B, C, h, w) and (B, S, H, W) -> (B, out_channels, H, W)."""
        larger = F.pixel_shuffle(self.expand(self.attention(feats)), 2)
        if larger.shape[-2:] != skip.shape[-2:]:  # dilated stages of an encoder keep the size
            larger = F.interpolate(larger, skip.shape[-2:], mode="bilinear", align_corners=False)
        fused: Tensor = self.fuse(torch.cat((larger, skip), 1))
        return fused


class GuidedMixDecoder(Decoder):
    """PSP module on the deepest features, then one MITrans stage per skip connection.

    Args:
        encoder_channels: Channels of the encoder's feature maps, finest first; the first is the
            image and not used.
        num_classes: Channels of the logits.
        channels: Widths of the stages, coarsest first; an encoder with fewer stages uses the last
            ones.
        mitrans: Attention in the stages. False is the paper's ablation (Table 2).
        min_stride: Smallest stride at which a stage has attention, counted as if every stage of the
            encoder halved the size. The cost of attention is quadratic in the number of positions.
        psp_sizes: Grids of the PSP module.

    Raises:
        ValueError: For too few widths, widths that are not even and positive, or no grid.
    """

    def __init__(
        self,
        encoder_channels: Sequence[int],
        num_classes: int,
        channels: Sequence[int] = (256, 128, 64, 32, 32),
        mitrans: bool = True,
        min_stride: int = 8,
        psp_sizes: Sequence[int] = (1, 2, 3, 6),
    ) -> None:
        super().__init__()
        *skips, deepest = encoder_channels[1:]
        if len(channels) < len(skips) + 1:
            raise ValueError(
                f"channels has {len(channels)} widths, expected at least {len(skips) + 1}"
            )
        if any(width % 2 or width < 2 for width in channels):
            raise ValueError(f"channels must be even and positive, got {list(channels)}")
        if not psp_sizes or min(psp_sizes) < 1:
            raise ValueError(f"psp_sizes must be grids of 1 and more, got {list(psp_sizes)}")
        widths = list(channels[-len(skips) - 1 :])
        psp = PSPModule(deepest, tuple(psp_sizes))
        pooled = deepest + len(psp_sizes) * (deepest // len(psp_sizes))
        self.psp = nn.Sequential(psp, conv_bn_relu(pooled, widths[0]))
        self.stages = nn.ModuleList(
            Stage(
                widths[number],
                skip,
                widths[number + 1],
                attention=mitrans and 2 ** (len(skips) + 1 - number) >= min_stride,
            )
            for number, skip in enumerate(reversed(skips))
        )
        self.head = nn.Conv2d(widths[-1], 4 * num_classes, 3, padding=1)
        self.hidden_channels = widths[-1]

    @property
    def mitrans(self) -> bool:
        """Whether any stage has attention."""
        return any(isinstance(module, MutualAttention) for module in self.modules())

    def hidden(self, feats: list[Tensor]) -> Tensor:
        """(B, channels, h, w) at the resolution of the finest feature map."""
        *skips, deepest = feats[1:]
        out: Tensor = self.psp(deepest)
        for stage, skip in zip(self.stages, reversed(skips), strict=True):
            out = stage(out, skip)
        return out

    def classify(self, hidden: Tensor) -> Tensor:
        """Logits (B, num_classes, 2 h, 2 w)."""
        return F.pixel_shuffle(self.head(hidden), 2)
