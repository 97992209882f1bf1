"""Turns of images by multiples of 90 degrees."""

import torch
from torch import Tensor

from ssseg.ops.random import Rng, uniform


def random_turns(
    batch: int, *, generator: Rng = None, device: torch.device | str | None = None
) -> Tensor:
    """1, 2 or 3 quarter turns for each image, (B,) int64; never none."""
    draw = uniform((batch,), generator, device=device)
    return 1 + (3 * draw).long().clamp_max(2)


def turned(maps: Tensor, turns: Tensor) -> Tensor:
    """Square maps, each turned counter-clockwise by so many quarter turns.

    Args:
        maps: (B, ..., N, N), any dtype.
        turns: (B,) int64 in [0, 4).
    """
    every = torch.stack([maps.rot90(count, (-2, -1)) for count in range(4)])
    return every[turns, torch.arange(len(maps), device=maps.device)]
