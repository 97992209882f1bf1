"""Compares an exported file with the model on the same images."""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from ssseg.errors import UserError

LARGEST = 1e-3
"""The largest allowed difference of logits, as a share of their range."""
LEAST = 0.999
"""The smallest allowed share of pixels with the same class."""

Run = Callable[[Tensor], Tensor]


class Parity(NamedTuple):
    """The difference between two outputs for the same images."""

    difference: float
    """Largest absolute difference of logits."""
    range: float
    """From the smallest to the largest logit of the model."""
    agreement: float
    """Share of pixels with the same class."""

    @property
    def good(self) -> bool:
        """Whether both limits are kept; False for logits that are not finite."""
        return self.difference <= LARGEST * self.range and self.agreement >= LEAST

    def __str__(self) -> str:
        return (
            f"logits differ by at most {self.difference:.2g} (of a range of {self.range:.3g}), "
            f"{100 * self.agreement:.3f} % of pixels get the same class"
        )


@torch.inference_mode()
def compare(model: Run, exported: Run, images: Iterable[Tensor]) -> Parity:
    """Run both on images, and on crops of the first one: of odd sizes, large and small, in twos.

    Args:
        model: The model that was exported.
        exported: The file, opened again.
        images: Normalised, (1, C, H, W) each; at least one.

    Raises:
        UserError: Where the exported file fails, or answers in another shape.
    """
    difference, low, high = torch.zeros(()), torch.tensor(torch.inf), torch.tensor(-torch.inf)
    same = total = 0
    for number, image in enumerate(_with_crops(images)):
        shape = tuple(image.shape)
        try:
            wanted = model(image)
        except RuntimeError as error:
            if number in (1, 2):  # the crops are too small for this decoder
                continue
            raise UserError(
                f"the model itself fails on an image of shape {shape} ({error}); give larger ones "
                "with --images"
            ) from error
        try:
            found = exported(image)
        except Exception as error:  # every runtime has its own
            reason = next(iter(str(error).strip().splitlines()), "")[:200]
            raise UserError(
                f"the exported file fails on an image of shape {shape} ({type(error).__name__}: "
                f"{reason}); nothing was written; --format safetensors takes every network"
            ) from error
        if found.shape != wanted.shape:
            raise UserError(
                f"the exported file answers an image of shape {shape} with {tuple(found.shape)}, "
                f"expected {tuple(wanted.shape)}; nothing was written; --format safetensors takes "
                "every network"
            )
        # maxima keep a NaN, so that it is noticed
        difference = torch.maximum(difference, (found - wanted).abs().max())
        low, high = torch.minimum(low, wanted.min()), torch.maximum(high, wanted.max())
        same += int((found.argmax(1) == wanted.argmax(1)).sum())
        total += found[:, 0].numel()
    return Parity(float(difference), float(high - low), same / total)


def _with_crops(images: Iterable[Tensor]) -> Iterator[Tensor]:
    """The first image, a batch of large and one of small crops of it, the other images."""
    rest = iter(images)
    first = next(rest)
    yield first
    height, width = first.shape[-2:]
    for crop in (first[..., : 3 * height // 4 | 1, : 3 * width // 4 | 1], first[..., :13, :21]):
        yield torch.cat([crop, crop.flip(-1)])
    yield from rest
