"""The averaged copy of a network: the teacher."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


class EMA(nn.Module):
    """A frozen running average of a network (Tarvainen & Valpola, NeurIPS 2017, Eq. 1).

    Parameters and floating buffers are averaged, integer and boolean buffers copied. At update t
    (from 0) the decay is `min(1 - 1 / (t + 1), decay)`: the first update copies the student, the
    next ones are plain means until `decay` takes over.

    It has two voices. Called, it evaluates: eval mode, running statistics. `label` makes
    pseudo-labels: dropout is off, and BatchNorm normalises with the statistics of the batch
    (`norm="batch"`, as in the released ClassMix and CutMix-Seg code) without touching its buffers,
    or with the running ones (`norm="running"`). Layers that the network keeps frozen in training
    (`freeze_bn`) always use the running ones, as they do in the student.
    """

    def __init__(self, module: nn.Module, decay: float = 0.99, *, startup: bool = True) -> None:
        super().__init__()
        if not 0 <= decay <= 1:
            raise ValueError(f"decay must lie in [0, 1], got {decay}")
        self.module = copy.deepcopy(module).requires_grad_(False).eval()
        self.decay = decay
        self.startup = startup

    def train(self, mode: bool = True) -> "EMA":
        """Stays in eval mode whatever its owner does."""
        return super().train(False)

    @torch.no_grad()
    def forward(self, image: Tensor) -> Tensor:
        """The averaged network's logits in eval mode."""
        logits: Tensor = self.module(image)
        return logits

    @torch.no_grad()
    def label(self, image: Tensor, norm: Literal["batch", "running"] = "batch") -> Tensor:
        """The logits that pseudo-labels are made of; buffers stay as they are."""
        with labeling(self.module, norm):
            return self.forward(image)

    @torch.no_grad()
    def update(self, module: nn.Module, step: int) -> None:
        """Follow the student after optimiser step `step` (from 0)."""
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
    """The mode in which pseudo-labels are made: no gradient, dropout off, buffers untouched.

    Args:
        module: The network; it gets its own modes back afterwards.
        norm: Whether BatchNorm normalises with the statistics of the batch or the running ones.
            Layers that stay in eval mode in training use the running ones in any case.
    """
    modes = {part: part.training for part in module.modules()}
    module.train()  # shows which layers normalise by the batch when the network learns
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
