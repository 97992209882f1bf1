"""Optimiser, parameter groups and learning-rate schedule."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch.optim.lr_scheduler import LambdaLR

from ssseg.methods.base import Method
from ssseg.models.segmenter import Segmenter


@dataclass(frozen=True)
class OptimizerConfig:
    """How the networks are optimised.

    Args:
        name: `adamw` or `sgd`. The papers' recipes are SGD with learning rate 2.5e-4 (10 times
            that for the head), momentum 0.9 and weight decay 5e-4.
        lr: Learning rate of everything but the encoders and the parts of a method that have one of
            their own.
        encoder_lr_scale: Factor on `lr` for the encoders. None: 0.1 for encoders that start from
            pretrained weights, 1 for others.
        weight_decay: On all parameters.
        momentum: Of SGD.
        nesterov: Of SGD.
        power: Of the schedule `(1 - step / total) ** power`; 0 keeps the rate constant.
    """

    name: Literal["adamw", "sgd"] = "adamw"
    lr: float = 1e-3
    encoder_lr_scale: float | None = None
    weight_decay: float = 1e-4
    momentum: float = 0.9
    nesterov: bool = False
    power: float = 0.9


def parameter_groups(method: Method, optim: OptimizerConfig) -> list[dict[str, object]]:
    """Trainable parameters in groups: encoders, found by type; each of `Method.parts`; the rest."""
    segmenters = [m for m in method.modules() if isinstance(m, Segmenter)]
    scale = optim.encoder_lr_scale
    if scale is None:
        scale = 0.1 if any(s.pretrained for s in segmenters) else 1.0
    group_of = {id(p): "encoder" for s in segmenters for p in s.encoder.parameters()}
    for part in method.parts:
        group_of |= {id(p): part for p in getattr(method, part).parameters()}
    groups: list[dict[str, object]] = []
    for name, factor in {"encoder": scale, **method.parts, "rest": 1.0}.items():
        params = [
            p
            for p in method.parameters()
            if p.requires_grad and group_of.get(id(p), "rest") == name
        ]
        groups.append({"name": name, "params": params, "lr": optim.lr * factor})
    return [group for group in groups if group["params"]]


def rates(schedule: LambdaLR) -> list[float]:
    """Learning rates of the parameter groups by a schedule, at the step where it stands."""
    bases, factors = schedule.base_lrs, schedule.lr_lambdas
    step = schedule.last_epoch
    return [float(base * factor(step)) for base, factor in zip(bases, factors, strict=True)]


def set_rates(schedule: LambdaLR) -> None:
    """Give the optimiser's parameter groups the learning rates of the schedule."""
    for group, rate in zip(schedule.optimizer.param_groups, rates(schedule), strict=True):
        group["lr"] = rate


def create_optimizer(
    method: Method, optim: OptimizerConfig, total_steps: int
) -> tuple[torch.optim.Optimizer, LambdaLR]:
    """The optimiser and its schedule, to be stepped once per optimiser step."""
    groups = parameter_groups(method, optim)
    optimizer: torch.optim.Optimizer
    if optim.name == "sgd":
        optimizer = torch.optim.SGD(
            groups,
            momentum=optim.momentum,
            nesterov=optim.nesterov,
            weight_decay=optim.weight_decay,
        )
    else:
        optimizer = torch.optim.AdamW(groups, weight_decay=optim.weight_decay)

    def poly(step: int) -> float:
        return float((1 - min(step, total_steps - 1) / total_steps) ** optim.power)

    return optimizer, LambdaLR(optimizer, poly)
