"""The DPT decoder (Ranftl et al., ICCV 2021) without BatchNorm, as in UniMatch V2 (TPAMI 2025)."""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from ssseg.models.layers import Decoder

LEVELS = 4
"""Number of feature maps of the encoder."""
SIZES = {
    384: ((48, 96, 192, 384), 64),
    768: ((96, 192, 384, 768), 128),
    1024: ((256, 512, 1024, 1024), 256),
    1536: ((1536, 1536, 1536, 1536), 384),
}
"""Width of a transformer -> widths of the four levels, and channels of the fused features."""


def sizes_for(width: int) -> tuple[tuple[int, ...], int]:
    """Sizes of the decoder for the width of a transformer.

    They are the published ones if there are some, else 1/8, 1/4, 1/2 and 1 of the width.

    Returns:
        Widths of the four levels, finest first, and the channels of the fused features.
    """
    if width in SIZES:
        return SIZES[width]
    levels = tuple(max(8, width // 2**shift) for shift in (3, 2, 1, 0))
    return levels, max(8, width // 6 // 8 * 8)


class Refine(nn.Module):
    """A residual unit: ReLU and a 3 x 3 convolution, twice."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(features, features, 3, padding=1)
        self.second = nn.Conv2d(features, features, 3, padding=1)

    def forward(self, feats: Tensor) -> Tensor:
        """(B, C, h, w) -> the same shape."""
        change: Tensor = self.second(F.relu(self.first(F.relu(feats))))
        return feats + change


class Fusion(nn.Module):
    """Adds a level to the features of the coarser levels and enlarges the sum.

    Args:
        features: Channels.
        skip: Whether a level is added. The coarsest block adds none and has no residual unit for
            it, because that unit would never get a gradient.
    """

    def __init__(self, features: int, skip: bool) -> None:
        super().__init__()
        self.skip = Refine(features) if skip else None
        self.merge = Refine(features)
        self.project = nn.Conv2d(features, features, 1)

    def forward(self, feats: Tensor, level: Tensor | None, size: tuple[int, int]) -> Tensor:
        """(B, C, h, w) features, and a level of the same shape -> (B, C, *size)."""
        if self.skip is not None:
            feats = feats + self.skip(level)
        # published in the other order; a 1 x 1 convolution and an interpolation commute, and this
        # order takes a quarter of the operations
        feats = self.project(self.merge(feats))
        return F.interpolate(feats, size, mode="bilinear", align_corners=True)


class DptDecoder(Decoder):
    """Makes a pyramid from four feature maps of one stride and fuses it from coarse to fine.

    It has no BatchNorm and no dropout, so the logits of an image do not depend on the batch.

    Args:
        encoder_channels: Channels of the encoder's feature maps; the first is the image and not
            used, the other four are outputs of transformer blocks.
        num_classes: Channels of the logits.
        widths: Channels of the four levels, finest first. None: `sizes_for` the transformer.
        features: Channels of the fused features. None: `sizes_for` the transformer.

    Raises:
        ValueError: If the number of feature maps or of widths is not four.
    """

    def __init__(
        self,
        encoder_channels: Sequence[int],
        num_classes: int,
        widths: Sequence[int] | None = None,
        features: int | None = None,
    ) -> None:
        super().__init__()
        taps = list(encoder_channels[1:])
        if len(taps) != LEVELS:
            raise ValueError(
                f"the encoder gives {len(taps)} feature maps, the decoder needs {LEVELS}"
            )
        usual, usual_features = sizes_for(taps[-1])
        widths, features = list(widths or usual), features or usual_features
        if len(widths) != LEVELS:
            raise ValueError(f"widths has {len(widths)} numbers, expected {LEVELS}")
        finest, finer, _, coarsest = widths
        self.narrow = nn.ModuleList(
            nn.Conv2d(channels, width, 1) for channels, width in zip(taps, widths, strict=True)
        )
        self.resize = nn.ModuleList(
            [
                nn.ConvTranspose2d(finest, finest, 4, stride=4),
                nn.ConvTranspose2d(finer, finer, 2, stride=2),
                nn.Identity(),
                nn.Conv2d(coarsest, coarsest, 3, stride=2, padding=1),
            ]
        )
        self.unify = nn.ModuleList(
            nn.Conv2d(width, features, 3, padding=1, bias=False) for width in widths
        )
        self.fuse = nn.ModuleList(Fusion(features, skip=i < LEVELS - 1) for i in range(LEVELS))
        self.head = nn.Sequential(
            nn.Conv2d(features, features, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(features, num_classes, 1),
        )
        self.hidden_channels = features

    def hidden(self, feats: list[Tensor]) -> Tensor:
        """(B, features, 8 h, 8 w) of feature maps (B, D, h, w)."""
        layers = zip(feats[1:], self.narrow, self.resize, self.unify, strict=True)
        levels = [unify(resize(narrow(tap))) for tap, narrow, resize, unify in layers]
        height, width = levels[0].shape[-2:]
        sizes = [(2 * height, 2 * width), *(level.shape[-2:] for level in levels[:-1])]
        *rest, out = levels
        out = self.fuse[-1](out, None, sizes[-1])
        for fuse, level, size in reversed(list(zip(self.fuse, rest, sizes, strict=False))):
            out = fuse(out, level, size)
        hidden: Tensor = self.head[1](self.head[0](out))
        return hidden

    def classify(self, hidden: Tensor) -> Tensor:
        """Logits (B, num_classes, 8 h, 8 w)."""
        logits: Tensor = self.head[2](hidden)
        return logits
