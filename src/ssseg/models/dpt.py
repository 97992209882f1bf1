"""The DPT decoder (Ranftl et al., ICCV 2021) without BatchNorm, as in UniMatch V2 (TPAMI 2025)."""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

LEVELS = 4
"""Feature maps of the encoder."""
SIZES = {
    384: ((48, 96, 192, 384), 64),
    768: ((96, 192, 384, 768), 128),
    1024: ((256, 512, 1024, 1024), 256),
    1536: ((1536, 1536, 1536, 1536), 384),
}
"""Width of a transformer -> widths of the four levels, channels of the features they become."""


def sizes_for(width: int) -> tuple[tuple[int, ...], int]:
    """The published sizes of a transformer's width; of others, by the rule of the small ones.

    Returns:
        Widths of the four levels, finest first, and the channels of the features.
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
    """What comes from the coarser levels, joined with a level and enlarged.

    Args:
        features: Channels.
        skip: Whether a level is joined; the coarsest one comes alone, and the unit that would
            prepare another one would never get a gradient.
    """

    def __init__(self, features: int, skip: bool) -> None:
        super().__init__()
        self.skip = Refine(features) if skip else None
        self.merge = Refine(features)
        self.project = nn.Conv2d(features, features, 1)

    def forward(self, feats: Tensor, level: Tensor | None, size: tuple[int, int]) -> Tensor:
        """(B, C, h, w), and a level of this shape -> (B, C, *size)."""
        if self.skip is not None:
            feats = feats + self.skip(level)
        # published the other way around, which gives the same: one is linear over the channels, the
        # other over the positions with weights of sum 1; this one is four times as cheap
        feats = self.project(self.merge(feats))
        return F.interpolate(feats, size, mode="bilinear", align_corners=True)


class DptDecoder(nn.Module):
    """Four feature maps of one stride become a pyramid, which is fused from coarse to fine.

    No statistics of a batch and no dropout: an image's logits are its own.

    Args:
        encoder_channels: Channels of the encoder's feature maps; the first is the image itself and
            not used, the other four come from blocks of one transformer.
        num_classes: Channels of the logits.
        widths: Of the four levels, finest first. None: by the transformer's width.
        features: Channels of the levels where they are fused. None: by the transformer's width.

    Raises:
        ValueError: For other than four feature maps or widths.
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
            raise ValueError(f"it fuses {LEVELS} feature maps, the encoder gives {len(taps)}")
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

    def forward(self, feats: list[Tensor]) -> Tensor:
        """Logits (B, num_classes, 8 h, 8 w) of feature maps (B, D, h, w)."""
        layers = zip(feats[1:], self.narrow, self.resize, self.unify, strict=True)
        levels = [unify(resize(narrow(tap))) for tap, narrow, resize, unify in layers]
        height, width = levels[0].shape[-2:]
        sizes = [(2 * height, 2 * width), *(level.shape[-2:] for level in levels[:-1])]
        *rest, out = levels
        out = self.fuse[-1](out, None, sizes[-1])
        for fuse, level, size in reversed(list(zip(self.fuse, rest, sizes, strict=False))):
            out = fuse(out, level, size)
        logits: Tensor = self.head(out)
        return logits
