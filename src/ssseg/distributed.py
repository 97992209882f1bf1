"""One batch on several devices: what a step must know so that it computes what one device would.

DDP takes the mean over devices of the gradients. So a loss that is a mean over pixels divides its
own device's sum by `denominator`, a mask draws for the whole batch and takes its device's part
(`GlobalBatchGenerator`), and the partner of a device's last image is the next device's first one
(`next_in_ring`). Nothing here is a copy to the host.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch import distributed as dist

WITHOUT_FLOAT64 = ("mps",)
"""Kinds of devices that compute in 32 bits at most: Apple's."""


def sum_dtype(device: torch.device | str | None) -> torch.dtype:
    """float64, for sums and draws that must be exact, or float32 where a device has no more."""
    kind = torch.get_default_device() if device is None else torch.device(device)
    return torch.float32 if kind.type in WITHOUT_FLOAT64 else torch.float64


@dataclass(frozen=True, slots=True)
class DistInfo:
    """Which of how many devices this one is; alone unless somebody says otherwise."""

    rank: int = 0
    world_size: int = 1

    def total(self, value: Tensor) -> Tensor:
        """The sum over devices, without gradient."""
        if self.world_size == 1:
            return value
        summed = value.detach().clone()
        dist.all_reduce(summed)
        return summed

    def denominator(self, amount: Tensor) -> Tensor:
        """What this device's sum is divided by, for the mean of devices to be that of the batch.

        The amount over all devices, at least 1, divided by their number.
        """
        whole = self.total(amount).clamp_min(1)
        return whole if self.world_size == 1 else whole / self.world_size

    def means(self, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The mean over devices of each scalar, in one exchange.

        Args:
            values: Of the same names on all devices. What has no value (NaN) on one has none.
        """
        if self.world_size == 1:
            return dict(values)
        stacked = torch.stack(
            [value.detach().to(sum_dtype(value.device)) for value in values.values()]
        )
        return dict(zip(values, self.total(stacked) / self.world_size, strict=True))

    def next_in_ring(self, value: Tensor) -> Tensor:
        """Of every sample the next one of the global batch, whose last is followed by its first.

        The ring of the published ClassMix code. No gradient.

        Args:
            value: (B, ...), B alike on all devices.
        """
        if self.world_size == 1:
            return value.roll(-1, 0)
        # not every backend sends booleans
        first = value.detach()[:1].contiguous()
        sent = first.byte() if first.dtype == torch.bool else first
        firsts = [torch.empty_like(sent) for _ in range(self.world_size)]
        dist.all_gather(firsts, sent)
        return torch.cat((value[1:], firsts[(self.rank + 1) % self.world_size].to(value.dtype)))


SINGLE = DistInfo()


class GlobalBatchGenerator(NamedTuple):
    """Draws for the places of a batch that is spread over devices: each takes its own part of them.

    Wherever a draw per image is asked for, this stands for a generator.
    """

    generator: torch.Generator
    """In the same state on all devices."""
    devices: DistInfo

    def initial_seed(self) -> int:
        """The same on all devices, for what is decided on the host."""
        return self.generator.initial_seed()
