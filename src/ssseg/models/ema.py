"""The exponential moving average of a network: the teacher."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


class EMA(nn.Module):
    """Exponential moving average of a network (Tarvainen & Valpola, NeurIPS 2017, Eq. 1).

    Parameters and floating buffers are averaged, integer and boolean buffers are copied. It gets no
    gradient. At update t (from 0) the decay is `min(1 - 1 / (t + 1), decay)`: update 0 copies the
    student, the next updates compute the mean of all students, until `decay` is smaller.

    `forward` evaluates in eval mode, with running statistics. `label` computes the logits of
    pseudo-labels: dropout is off, and BatchNorm normalises with the statistics of the batch
    (`norm="batch"`, as in the released ClassMix and CutMix-Seg code) without changing its buffers,
    or with the running statistics (`norm="running"`). Layers that are frozen in training
    (`freeze_bn`) always use the running statistics, as in the student.

    Args:
        module: The network to copy.
        decay: Decay of the average, in [0, 1].
        startup: Whether the decay starts as 1 - 1 / (t + 1).

    Raises:
        ValueError: For a `decay` outside [0, 1].
    """

    def __init__(self, module: nn.Module, decay: float = 0.99, *, startup: bool = True) -> None:
        super().__init__()
        if not 0 <= decay <= 1:
            raise ValueError(f"decay must lie in [0, 1], got {decay}")
        self.module = copy.deepcopy(module).requires_grad_(False).eval()
        self.decay = decay
        self.startup = startup

    def train(self, mode: bool = True) -> "EMA":
        """Stay in eval mode; `mode` has no effect."""
        return super().train(False)

    @torch.no_grad()
    def forward(self, image: Tensor) -> Tensor:
        """Logits (B, C, H, W) of the averaged network in eval mode."""
        logits: Tensor = self.module(image)
        return logits

    @torch.no_grad()
    def label(self, image: Tensor, norm: Literal["batch", "running"] = "batch") -> Tensor:
        """Logits (B, C, H, W) for pseudo-labels; buffers do not change.

        Args:
            image: (B, C, H, W) float, normalised.
            norm: Statistics that BatchNorm normalises with.
        """
        with labeling(self.module, norm):
            return self.forward(image)

    @torch.no_grad()
    def update(self, module: nn.Module, step: int) -> None:
        """Update the average with the student's weights.

        Args:
            module: The student.
            step: Number of updates before this one.
        """
        decay = min(1 - 1 / (step + 1), self.decay) if self.startup else self.decay
        ours, theirs = list(_tensors(self.module)), list(_tensors(module))
        floating = [t.is_floating_point() for t in ours]
        averaged = [t for t, f in zip(ours, floating, strict=True) if f]
        towards = [t.detach() for t, f in zip(theirs, floating, strict=True) if f]
        torch._foreach_lerp_(averaged, towards, 1 - decay)
        for our, their, is_float in zip(ours, theirs, floating, strict=True):
            if not is_float:
                our.copy_(their)


def _tensors(module: nn.Module) -> Iterator[Tensor]:
    yield from module.parameters()
    yield from module.buffers()


@contextmanager
def labeling(module: nn.Module, norm: Literal["batch", "running"] = "batch") -> Iterator[None]:
    """The mode for making pseudo-labels: no gradient, dropout off, buffers unchanged.

    Args:
        module: The network; the modes of its layers are restored afterwards.
        norm: Whether BatchNorm normalises with the statistics of the batch or the running ones.
            Layers that are frozen in training always use the running ones.
    """
    modes = {part: part.training for part in module.modules()}
    module.train()  # to find the layers that use batch statistics in training
    layers = [
        m for m in modes if isinstance(m, _BatchNorm) and m.training and m.track_running_stats
    ]
    module.eval()
    if norm == "batch":
        for layer in layers:
            layer.training, layer.track_running_stats = True, False
    try:
        with torch.no_grad():
            yield
    finally:
        for layer in layers:
            layer.track_running_stats = True
        for part, training in modes.items():
            part.training = training
