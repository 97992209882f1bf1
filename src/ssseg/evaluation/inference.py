"""Inference on whole images: in one pass, with a sliding window, at several scales, flipped."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from ssseg.errors import UserError

Network = Callable[[Tensor], Tensor]
SIX_SCALES = (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)
"""Scales of multi-scale evaluation in many papers."""
PIXELS = 2**21
"""Largest number of pixels of several images in one pass; a single image may have more."""


@dataclass(frozen=True)
class Inference:
    """Computes scores of the pixels of an image with any callable that returns logits.

    Args:
        mode: `whole`: the whole image in one pass (networks pad it to their stride). `slide`: a
            sliding window; probabilities are averaged where windows overlap.
        window: Height and width of the window in pixels; None: the crop size of the training.
        stride: Vertical and horizontal step of the window in pixels; None: two thirds of it.
        scales: Factors by which images are resized; the probabilities are averaged.
        flip: Average with the probabilities of the horizontally flipped image.
        batch_size: Windows per pass of the network.

    Raises:
        UserError: For values that are out of range.
    """

    mode: Literal["whole", "slide"] = "whole"
    window: tuple[int, int] | None = None
    stride: tuple[int, int] | None = None
    scales: Sequence[float] = (1.0,)
    flip: bool = False
    batch_size: int = 8

    def __post_init__(self) -> None:
        if not self.scales or min(self.scales) <= 0:
            raise UserError(
                f"option eval.scales is {list(self.scales)}; expected factors above 0, e.g. "
                f"{list(SIX_SCALES)}"
            )
        if self.batch_size < 1:
            raise UserError(f"option eval.batch_size is {self.batch_size}; expected at least 1")
        for name, sides in (("window", self.window), ("stride", self.stride)):
            if sides is not None and min(sides) < 1:
                raise UserError(f"option eval.{name} is {list(sides)}; expected at least 1 pixel")
        if self.window and self.stride and any(map(int.__gt__, self.stride, self.window)):
            raise UserError(
                f"option eval.stride is {list(self.stride)}, but the window is only "
                f"{list(self.window)}: pixels between windows would be left out; lower the stride"
            )

    @property
    def plain(self) -> bool:
        """Whether the scores are the logits of one pass: whole image, one scale, no flip."""
        return self.mode == "whole" and tuple(self.scales) == (1.0,) and not self.flip

    def within(self, window: tuple[int, int] | None) -> "Inference":
        """A copy that uses `window` if no window was given."""
        return replace(self, window=self.window or window)

    def inputs(self, size: tuple[int, int]) -> set[tuple[int, int]]:
        """Heights and widths of the network's inputs for an image of this height and width."""
        sizes = {size if scale == 1 else _scaled(size, scale) for scale in self.scales}
        if self.mode == "slide" and self.window is not None:
            window = self.window
            sizes = {(min(window[0], height), min(window[1], width)) for height, width in sizes}
        return sizes

    def images_at_once(self, size: tuple[int, int]) -> int:
        """Number of images of this height and width in one call, which limits the memory.

        The images have at most `PIXELS` pixels together, or the number is 1. With `slide` it is at
        most `batch_size`.
        """
        pixels = max(1, round(size[0] * size[1] * max(1.0, *self.scales) ** 2))
        count = max(1, PIXELS // pixels)
        return min(count, self.batch_size) if self.mode == "slide" else count

    @property
    def steps(self) -> tuple[int, int]:
        """Vertical and horizontal step of the window in pixels; needs a known `window`."""
        assert self.window is not None
        height, width = self.window
        return self.stride or (-(-2 * height // 3), -(-2 * width // 3))

    def __str__(self) -> str:
        """A short text for tables, e.g. `slide 513 x 513, 6 scales, flip`."""
        words: list[str] = [self.mode]
        if self.mode == "slide" and self.window:
            words[0] += f" {self.window[0]} x {self.window[1]}"
        if tuple(self.scales) != (1.0,):
            count = len(self.scales)
            words.append(f"{count} scales" if count > 1 else f"scale {self.scales[0]:g}")
        return ", ".join([*words, *["flip"] * self.flip])

    def pixels(self, size: tuple[int, int]) -> int:
        """Number of pixels in all inputs of the network for an image of this height and width."""
        total = 0
        for scale in self.scales:
            height, width = _scaled(size, scale) if scale != 1 else size
            if self.mode == "slide" and self.window is not None:
                window = min(self.window[0], height), min(self.window[1], width)
                down, right = self.steps
                windows = len(_starts(height, window[0], down)) * len(
                    _starts(width, window[1], right)
                )
                total += windows * window[0] * window[1]
            else:
                total += height * width
        return total * (1 + self.flip)

    @torch.no_grad()
    def __call__(self, network: Network, image: Tensor) -> Tensor:
        """Scores of every pixel, larger for more likely classes.

        Args:
            network: Images (B, C, H, W) -> logits (B, K, H, W), for any height and width.
            image: (B, C, H, W) float, normalised.

        Returns:
            (B, K, H, W) float: logits if `plain`, else averaged probabilities.

        Raises:
            UserError: If `mode` is `slide` and the size of the window is unknown.
        """
        if self.plain:
            return network(image)
        size = image.shape[-2:]
        total: Tensor | None = None
        for scale in self.scales:
            scaled = image if scale == 1 else _resized(image, _scaled(size, scale))
            for mirrored in (False, True) if self.flip else (False,):
                probs = self._probs(network, scaled.flip(-1) if mirrored else scaled)
                probs = _resized(probs.flip(-1) if mirrored else probs, size)
                total = probs if total is None else total.add_(probs)
        assert total is not None
        return total / (len(self.scales) * (1 + self.flip))

    def _probs(self, network: Network, image: Tensor) -> Tensor:
        if self.mode == "whole":
            return network(image).float().softmax(1)
        if self.window is None:
            raise UserError(
                "option eval.mode is slide, but the size of the window is unknown; give eval.window"
            )
        height, width = image.shape[-2:]
        window = min(self.window[0], height), min(self.window[1], width)
        stride = self.steps
        places = [
            (top, left)
            for top in _starts(height, window[0], stride[0])
            for left in _starts(width, window[1], stride[1])
        ]
        total: Tensor | None = None
        count = image.new_zeros((1, 1, height, width), dtype=torch.float32)
        per_pass = max(1, self.batch_size // len(image))
        for chunk in _chunks(places, per_pass):
            parts = [image[..., t : t + window[0], s : s + window[1]] for t, s in chunk]
            probs = network(torch.cat(parts)).float().softmax(1)
            if total is None:
                total = probs.new_zeros((len(image), probs.shape[1], height, width))
            for (top, left), part in zip(chunk, probs.chunk(len(chunk)), strict=True):
                place = (..., slice(top, top + window[0]), slice(left, left + window[1]))
                total[place] += part
                count[place] += 1
        assert total is not None
        return total.div_(count)


def _starts(side: int, window: int, stride: int) -> list[int]:
    """First positions of the windows along one axis; the last window ends with the image."""
    return [*range(0, side - window, stride), side - window]


def _chunks(places: list[tuple[int, int]], size: int) -> Iterator[list[tuple[int, int]]]:
    for start in range(0, len(places), size):
        yield places[start : start + size]


def _scaled(size: Sequence[int], scale: float) -> tuple[int, int]:
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _resized(values: Tensor, size: Sequence[int]) -> Tensor:
    if tuple(values.shape[-2:]) == tuple(size):
        return values
    return F.interpolate(values, tuple(size), mode="bilinear", align_corners=False)
