"""Copies of a network from earlier steps of its training."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ssseg.distributed import SINGLE, DistInfo
from ssseg.models.ema import EMA


class Snapshots(nn.Module):
    """Frozen copies of a network, in eval mode; a new one takes the place of the oldest.

    All copies exist from the start, so that a checkpoint has the same tensors at every step.

    Args:
        module: The network.
        size: Number of copies.
    """

    def __init__(self, module: nn.Module, size: int) -> None:
        super().__init__()
        self.copies = nn.ModuleList(EMA(module, 0.0) for _ in range(size))
        self.taken = 0
        """Number of copies that were made so far, on the host: a step does not wait for it."""

    def __len__(self) -> int:
        """Number of copies that can be asked."""
        return min(self.taken, len(self.copies))

    def take(self, module: nn.Module, devices: DistInfo = SINGLE) -> None:
        """Copy the network as it is; buffers are those of the first device."""
        oldest = self.copies[self.taken % len(self.copies)]
        assert isinstance(oldest, EMA)
        oldest.update(module, 0)
        devices.take_from_first(oldest.buffers())
        self.taken += 1

    @torch.no_grad()
    def logits(self, image: Tensor, weights: Sequence[tuple[int, float]]) -> Tensor:
        """Weighted sum of the logits of some copies.

        Args:
            image: (B, C, H, W) float, normalised.
            weights: Number and weight of each copy; at least one.

        Returns:
            (B, num_classes, H, W) float.
        """
        return torch.stack([weight * self.copies[i](image) for i, weight in weights]).sum(0)

    def get_extra_state(self) -> Tensor:
        """The number of copies, for checkpoints."""
        return torch.tensor(self.taken)

    def set_extra_state(self, state: Tensor) -> None:
        """Go on with the number of copies of a checkpoint."""
        self.taken = int(state)
