"""The decoder of ANN (Zhu et al., "Asymmetric Non-local Neural Networks", ICCV 2019)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ssseg.models.layers import Decoder, conv_bn_relu

GRIDS = (1, 3, 6, 8)
"""Grids of the pooling: 1 + 9 + 36 + 64 = 110 anchors."""
ATTENTION = 256
"""Channels of queries, keys and values."""
DROPOUT = 0.05
"""Probability that `Dropout2d` sets a channel to 0."""


class Anchors(nn.Module):
    """Anchors: means of a feature map over the cells of several grids.

    Args:
        grids: Rows and columns of each grid; grid g gives g * g anchors.
    """

    def __init__(self, grids: Sequence[int]) -> None:
        super().__init__()
        self.pools = nn.ModuleList(nn.AdaptiveAvgPool2d((grid, grid)) for grid in grids)

    def forward(self, feats: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, C, anchors)."""
        return torch.cat([pool(feats).flatten(2) for pool in self.pools], 2)


class Attention(nn.Module):
    """Attention of every position of one feature map to the anchors of another one (Eq. 8 to 10).

    Args:
        low: Channels of the feature map that keys and values are made from.
        high: Channels of the feature map that queries are made from.
        shared: Use the layer of the queries for the keys; both feature maps are the same then.
        grids: Grids of the anchors.
    """

    def __init__(self, low: int, high: int, shared: bool, grids: Sequence[int]) -> None:
        super().__init__()
        self.query = conv_bn_relu(high, ATTENTION)
        self.key = None if shared else conv_bn_relu(low, ATTENTION)
        self.value = nn.Conv2d(low, ATTENTION, 1)
        self.anchors = Anchors(grids)
        self.expand = nn.Conv2d(ATTENTION, high, 1)
        # as published: the context is 0 at the start of training
        nn.init.zeros_(self.expand.weight)
        assert self.expand.bias is not None
        nn.init.zeros_(self.expand.bias)

    def forward(self, low: Tensor, high: Tensor) -> Tensor:
        """(B, low, h', w') and (B, high, h, w) -> the context (B, high, h, w)."""
        query = self.query(high)
        key = self.anchors(query if self.key is None else self.key(low))
        value = self.anchors(self.value(low))
        scores = query.flatten(2).transpose(1, 2) @ key * ATTENTION**-0.5
        context = value @ scores.softmax(-1).transpose(1, 2)
        expanded: Tensor = self.expand(context.reshape(query.shape))
        return expanded


class AnnetDecoder(Decoder):
    """Attention between the two deepest feature maps (AFNB), then self-attention (APNB).

    The auxiliary classifier on the second deepest features is omitted.

    Args:
        encoder_channels: Channels of the encoder's feature maps; the last two are used.
        num_classes: Channels of the logits.
        channels: Channels of the self-attention.
        grids: Grids of the pooling that makes the anchors.

    Raises:
        ValueError: For an encoder with fewer than two stages.
    """

    def __init__(
        self,
        encoder_channels: Sequence[int],
        num_classes: int,
        channels: int = 512,
        grids: Sequence[int] = GRIDS,
    ) -> None:
        super().__init__()
        if len(encoder_channels) < 3:
            raise ValueError("the decoder needs an encoder with at least two stages")
        low, high = encoder_channels[-2:]
        self.fusion = Attention(low, high, shared=False, grids=grids)
        self.fused = nn.Sequential(
            nn.Conv2d(2 * high, high, 1, bias=False), nn.BatchNorm2d(high), nn.Dropout2d(DROPOUT)
        )
        self.reduce = conv_bn_relu(high, channels, 3)
        self.within = Attention(channels, channels, shared=True, grids=grids)
        self.joined = nn.Sequential(conv_bn_relu(2 * channels, channels), nn.Dropout2d(DROPOUT))
        self.classifier = nn.Conv2d(channels, num_classes, 1)
        self.hidden_channels = channels

    def hidden(self, feats: list[Tensor]) -> Tensor:
        """(B, channels, h, w) at the stride of the last feature map."""
        low, high = feats[-2:]
        fused = self.fused(torch.cat((self.fusion(low, high), high), 1))
        reduced = self.reduce(fused)
        joined: Tensor = self.joined(torch.cat((self.within(reduced, reduced), reduced), 1))
        return joined

    def classify(self, hidden: Tensor) -> Tensor:
        """Logits (B, num_classes, h, w)."""
        logits: Tensor = self.classifier(hidden)
        return logits
