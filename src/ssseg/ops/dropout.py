"""Dropout of whole channels of an encoder's feature maps, with draws per image."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ssseg.ops.random import Rng, subset, uniform


def feature_dropout(
    feats: Sequence[Tensor], p: float = 0.5, *, generator: Rng = None
) -> list[Tensor]:
    """Set whole channels to 0, independently per image and level (UniMatch's feature stream).

    Channels that stay are divided by `1 - p`, so that the expected features are those without
    dropout. The first level of an encoder is the image itself; it does not change.

    Args:
        feats: Feature maps (B, D, H, W) of an encoder, the image first; D may be 0.
        p: Probability that a channel is set to 0, in [0, 1).
        generator: Source of randomness.

    Returns:
        New feature maps of the same shapes and dtypes.

    Raises:
        ValueError: For a `p` outside [0, 1).
    """
    if not 0 <= p < 1:
        raise ValueError(f"p must lie in [0, 1), got {p}")

    def factors(level: Tensor) -> Tensor:
        draw = uniform(level.shape[:2], generator, device=level.device)
        return (draw >= p) / (1 - p)

    return _scaled(feats, factors)


def complementary_dropout(
    feats: Sequence[Tensor], keep: float = 0.5, *, generator: Rng = None
) -> list[Tensor]:
    """Give two streams of the same images complementary halves of the channels (UniMatch V2).

    The first stream gets the factors `m`, which are 0 or 2 with equal probability, the second one
    `2 - m`. A share of the images, the same in both streams, keeps all channels. Levels with the
    same number of channels share `m`: the blocks of a vision transformer do, whose channels mean
    the same in every block.

    Args:
        feats: Feature maps (2B, D, H, W) of an encoder, the image first; the first stream of all
            images is followed by the second one; D may be 0.
        keep: Share of the images that keep all channels, in [0, 1]; the number is rounded down.
        generator: Source of randomness.

    Returns:
        New feature maps of the same shapes and dtypes.

    Raises:
        ValueError: For a `keep` outside [0, 1].
    """
    if not 0 <= keep <= 1:
        raise ValueError(f"keep must lie in [0, 1], got {keep}")
    device, pairs = feats[0].device, len(feats[0]) // 2
    whole = subset(pairs, keep, generator, device=device)[:, None]
    drawn: dict[int, Tensor] = {}

    def factors(level: Tensor) -> Tensor:
        width = level.shape[1]
        if width not in drawn:
            first = 2.0 * (uniform((pairs, width), generator, device=device) < 0.5)
            first = torch.where(whole, 1.0, first)
            drawn[width] = torch.cat((first, 2 - first))
        return drawn[width]

    return _scaled(feats, factors)


def _scaled(feats: Sequence[Tensor], factors: Callable[[Tensor], Tensor]) -> list[Tensor]:
    """All levels but the image, times factors (B, D); the image and empty levels as they are."""
    image, *levels = feats
    return [
        image,
        *(
            level * factors(level).to(level.dtype)[:, :, None, None] if level.shape[1] else level
            for level in levels
        ),
    ]
