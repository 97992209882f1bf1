"""The labeled images that GuidedMix-Net chooses partners from: of all devices, and earlier ones."""

from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from ssseg.distributed import DistInfo
from ssseg.ops.decouple import one_hot
from ssseg.types import Labeled

Side = Literal["prediction", "truth"]


class Candidates(NamedTuple):
    """N labeled images, without gradient: first those of the batch, of all devices."""

    image: Tensor
    """(N, 3, H, W) float."""
    label: Tensor
    """(N, H, W) int64, their truth; IGNORE where unknown."""
    pooled: Tensor
    """(N, D) float, their deepest features, averaged over the image."""
    probs: Tensor | None
    """(N, C, H, W) float, what the network predicts of them; None where nothing asks for it."""

    def side(self, side: Side, places: Tensor, like: Tensor) -> Tensor:
        """Probabilities of some of them, predicted or true, (P, C, H, W).

        Args:
            side: Which.
            places: (P,) int64.
            like: (B, C, H, W) float, of the dtype that the truth is given in.
        """
        if side == "truth":
            return one_hot(self.label[places], like)
        assert self.probs is not None
        return self.probs[places]


KEPT = Candidates._fields[:3]
"""What is kept of an image; predictions would be out of date."""


class Recent(nn.Module):
    """The labeled images that were trained on last, as they were augmented then.

    On any number of devices it holds the images of all of them. It is a part of the state dict.

    Args:
        size: How many images it holds; 0: none.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size
        self.image: Tensor | None
        self.label: Tensor | None
        self.pooled: Tensor | None
        for name in KEPT:
            self.register_buffer(name, None)

    def after(self, batch: Candidates) -> Candidates:
        """The images of a batch, followed by those that are kept, newest first."""
        if self.image is None or self.label is None or self.pooled is None:
            return batch
        return Candidates(
            torch.cat((batch.image, self.image)),
            torch.cat((batch.label, self.label)),
            torch.cat((batch.pooled, self.pooled)),
            batch.probs,
        )

    def keep(self, candidates: Candidates) -> None:
        """Keep the first images of `candidates`."""
        if self.size:
            self.image = candidates.image[: self.size].clone()
            self.label = candidates.label[: self.size].clone()
            self.pooled = candidates.pooled[: self.size].clone()

    def _load_from_state_dict(self, state: dict[str, Any], prefix: str, *args: Any) -> None:
        # there are as many images as the run had seen, which a new run does not know
        for name in KEPT:
            self.register_buffer(name, state.get(prefix + name))
        super()._load_from_state_dict(state, prefix, *args)


def gathered(
    labeled: Labeled, pooled: Tensor, probs: Tensor | None, devices: DistInfo
) -> Candidates:
    """The labeled images of all devices, those of the first device first.

    Args:
        labeled: This device's.
        pooled: (B, D), their features.
        probs: (B, C, H, W), their predictions; None: not wanted.
        devices: With the same number of labeled images on each.
    """
    image, label, pooled = (devices.gather(part) for part in (*labeled, pooled))
    return Candidates(image, label, pooled, None if probs is None else devices.gather(probs))
