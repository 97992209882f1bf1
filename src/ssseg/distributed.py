"""A batch on several devices: functions that make a step equal to the step on one device.

DDP averages gradients over devices. Therefore a loss that is a mean over pixels divides the sum of
its device by `denominator`, masks are drawn for the whole batch (`GlobalBatchGenerator`), and the
partner of the last image of a device is the first image of the next device (`next_in_ring`).
Nothing is copied to the host.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch import distributed as dist

WITHOUT_FLOAT64 = ("mps",)
"""Types of devices without float64 (Apple)."""


def sum_dtype(device: torch.device | str | None) -> torch.dtype:
    """Dtype for sums and draws: float64, or float32 on devices without float64."""
    kind = torch.get_default_device() if device is None else torch.device(device)
    return torch.float32 if kind.type in WITHOUT_FLOAT64 else torch.float64


@dataclass(frozen=True, slots=True)
class DistInfo:
    """Rank of this device and number of devices; by default a single device."""

    rank: int = 0
    world_size: int = 1

    def total(self, value: Tensor) -> Tensor:
        """Sum of `value` over devices, without gradient; same shape."""
        if self.world_size == 1:
            return value
        summed = value.detach().clone()
        dist.all_reduce(summed)
        return summed

    def denominator(self, amount: Tensor) -> Tensor:
        """The divisor of this device's sum, so that the mean over devices is the mean of the batch.

        It is the total of `amount` over devices, at least 1, divided by the number of devices.
        """
        whole = self.total(amount).clamp_min(1)
        return whole if self.world_size == 1 else whole / self.world_size

    def means(self, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The mean over devices of each scalar, with one communication.

        Args:
            values: Scalars with the same names on all devices; NaN on one device gives NaN.
        """
        if self.world_size == 1:
            return dict(values)
        stacked = torch.stack(
            [value.detach().to(sum_dtype(value.device)) for value in values.values()]
        )
        return dict(zip(values, self.total(stacked) / self.world_size, strict=True))

    def next_in_ring(self, value: Tensor) -> Tensor:
        """The next sample of the global batch for every sample; the first follows the last.

        This is the ring of the published ClassMix code. No gradient.

        Args:
            value: (B, ...), with the same B on all devices.
        """
        if self.world_size == 1:
            return value.roll(-1, 0)
        following = (self.rank + 1) % self.world_size
        return torch.cat((value[1:], self.gather(value[:1])[following : following + 1]))

    def gather(self, value: Tensor) -> Tensor:
        """The samples of all devices, those of the first device first, without gradient.

        Args:
            value: (B, ...), with the same B on all devices.

        Returns:
            (B * devices, ...).
        """
        if self.world_size == 1:
            return value.detach()
        # some backends cannot send bool
        sent = value.detach().contiguous()
        sent = sent.byte() if value.dtype == torch.bool else sent
        parts = [torch.empty_like(sent) for _ in range(self.world_size)]
        dist.all_gather(parts, sent)
        return torch.cat(parts).to(value.dtype)

    def take_from_first(self, tensors: Iterable[Tensor]) -> None:
        """Overwrite tensors in place by those of the first device."""
        if self.world_size > 1:
            for tensor in tensors:
                dist.broadcast(tensor, 0)


SINGLE = DistInfo()


class GlobalBatchGenerator(NamedTuple):
    """A generator for draws per image of a batch on several devices.

    Each device draws for the whole batch and keeps its part, see `ssseg.ops.random`.
    """

    generator: torch.Generator
    """Has the same state on all devices."""
    devices: DistInfo

    def initial_seed(self) -> int:
        """The seed, which is the same on all devices, for choices on the host."""
        return self.generator.initial_seed()
