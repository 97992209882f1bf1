"""A memory of features of each class."""

import torch
from torch import Tensor, nn


class ClassBank(nn.Module):
    """The newest keys of each class; new ones take the places of the oldest.

    Args:
        num_classes: Number of classes C.
        size: Keys per class S.
        width: Channels of a key D.
    """

    keys: Tensor
    place: Tensor
    count: Tensor

    def __init__(self, num_classes: int, size: int, width: int) -> None:
        super().__init__()
        self.register_buffer("keys", torch.zeros(num_classes, size, width, dtype=torch.float16))
        self.register_buffer("place", torch.zeros(num_classes, dtype=torch.int64))
        self.register_buffer("count", torch.zeros(num_classes, dtype=torch.int64))

    @property
    def filled(self) -> Tensor:
        """(C, S) bool, where the bank holds a key."""
        return torch.arange(self.keys.shape[1], device=self.keys.device) < self.count[:, None]

    @torch.no_grad()
    def append(self, keys: Tensor, given: Tensor) -> Tensor:
        """Add keys to every class.

        Args:
            keys: (C, K, D) float with K of at most S.
            given: (C, K) bool, the keys to add; they come first in each class.

        Returns:
            (C, K) int64, the place of each key.
        """
        bank = self.keys
        size, width = bank.shape[1:]
        slots = (self.place[:, None] + torch.arange(keys.shape[1], device=bank.device)) % size
        wide = slots[..., None].expand(-1, -1, width)
        kept = torch.where(given[..., None], keys.to(bank.dtype), bank.gather(1, wide))
        bank.scatter_(1, wide, kept)
        new = given.sum(1)
        self.place.copy_((self.place + new) % size)
        self.count.copy_((self.count + new).clamp_max(size))
        return slots
