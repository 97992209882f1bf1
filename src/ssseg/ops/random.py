"""Random numbers per image: the same for the global batch on one device and on several."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ssseg.distributed import GlobalBatchGenerator, sum_dtype

Rng = torch.Generator | GlobalBatchGenerator | None
"""Source of random numbers; None: torch's default generator of the device."""


def uniform(
    shape: Sequence[int],
    source: Rng,
    *,
    batch: int = 0,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """Uniform random numbers in [0, 1).

    Args:
        shape: Shape of the result on this device.
        source: Source of the random numbers.
        batch: The dimension that counts images.
        device: Device of the result.
        dtype: Dtype of the result; None: float32.
    """
    return _local(shape, source, batch, lambda size, g: torch.rand(
        size, generator=g, device=device, dtype=dtype
    ))  # fmt: skip


def normal(
    shape: Sequence[int], source: Rng, *, device: torch.device | str | None = None
) -> Tensor:
    """Standard normal random numbers, float32; the first dimension counts images."""
    return _local(shape, source, 0, lambda size, g: torch.randn(size, generator=g, device=device))


def gamma(
    shape: Sequence[int],
    concentration: float,
    source: Rng,
    *,
    batch: int = 0,
    device: torch.device | str | None = None,
) -> Tensor:
    """Random numbers from Gamma(concentration, 1), of dtype `sum_dtype`; arguments as `uniform`."""

    def draw(size: Sequence[int], generator: torch.Generator | None) -> Tensor:
        filled = torch.full(size, concentration, dtype=sum_dtype(device), device=device)
        return torch._standard_gamma(filled, generator=generator)

    return _local(shape, source, batch, draw)


def subset(
    batch: int, share: float, source: Rng, *, device: torch.device | str | None = None
) -> Tensor:
    """A random subset of the images of the global batch, (B,) bool: those of this device.

    Args:
        batch: Number of images on this device.
        share: Share of the global batch; the number of images is rounded down.
        source: Source of the random numbers.
        device: Device of the result.
    """
    return _local((batch,), source, 0, lambda size, g: torch.randperm(
        size[0], generator=g, device=device
    ) < int(share * size[0]))  # fmt: skip


def _local(
    shape: Sequence[int],
    source: Rng,
    batch: int,
    draw: Callable[[list[int], torch.Generator | None], Tensor],
) -> Tensor:
    """Draw for the global batch and keep this device's part."""
    size = list(shape)
    if not isinstance(source, GlobalBatchGenerator):
        return draw(size, source)
    devices, images = source.devices, size[batch]
    size[batch] = images * devices.world_size
    return draw(size, source.generator).narrow(batch, devices.rank * images, images)
