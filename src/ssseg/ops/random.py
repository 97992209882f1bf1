"""Random numbers per image, on one device or for its part of a batch on several."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ssseg.distributed import GlobalBatchGenerator, sum_dtype

Rng = torch.Generator | GlobalBatchGenerator | None
"""Where random numbers come from; None: torch's default generator of the device."""


def uniform(
    shape: Sequence[int],
    source: Rng,
    *,
    batch: int = 0,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """Uniform in [0, 1).

    Args:
        shape: Of the result.
        source: Where it comes from.
        batch: The dimension that counts images.
        device: Where it is made.
        dtype: Of the result; float32 if not given.
    """
    return _mine(shape, source, batch, lambda size, g: torch.rand(
        size, generator=g, device=device, dtype=dtype
    ))  # fmt: skip


def normal(
    shape: Sequence[int], source: Rng, *, device: torch.device | str | None = None
) -> Tensor:
    """Standard normal, images in the first dimension."""
    return _mine(shape, source, 0, lambda size, g: torch.randn(size, generator=g, device=device))


def gamma(
    shape: Sequence[int],
    concentration: float,
    source: Rng,
    *,
    batch: int = 0,
    device: torch.device | str | None = None,
) -> Tensor:
    """From Gamma(concentration, 1), as `sum_dtype` as can be; arguments as in `uniform`."""

    def draw(size: Sequence[int], generator: torch.Generator | None) -> Tensor:
        filled = torch.full(size, concentration, dtype=sum_dtype(device), device=device)
        return torch._standard_gamma(filled, generator=generator)

    return _mine(shape, source, batch, draw)


def _mine(
    shape: Sequence[int],
    source: Rng,
    batch: int,
    draw: Callable[[list[int], torch.Generator | None], Tensor],
) -> Tensor:
    """Draw for the global batch, keep this device's part."""
    size = list(shape)
    if not isinstance(source, GlobalBatchGenerator):
        return draw(size, source)
    devices, images = source.devices, size[batch]
    size[batch] = images * devices.world_size
    return draw(size, source.generator).narrow(batch, devices.rank * images, images)
