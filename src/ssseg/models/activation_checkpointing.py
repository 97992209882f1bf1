"""Activation checkpointing: activations of a block are computed again in the backward pass.

It saves memory and takes more time.
"""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint


def checkpoint_blocks(network: nn.Module) -> int:
    """Keep only the input of every block for the backward pass (Chen et al., 2016).

    A block is a module with submodules in an `nn.Sequential` or `nn.ModuleList`: a residual block,
    a transformer layer. Gradients are bitwise the same, and running statistics are updated once.

    Args:
        network: Changed in place; its parameters and their names do not change.

    Returns:
        Number of blocks.
    """
    blocks = list(_blocks(network))
    for block in blocks:
        # set on the instance, so that class, submodules and state dict do not change
        block.forward = partial(_recomputed, block, block.forward)
    return len(blocks)


def _blocks(module: nn.Module) -> Iterator[nn.Module]:
    """The outermost blocks; blocks inside a block are not returned."""
    sequence = isinstance(module, nn.Sequential | nn.ModuleList)
    for child in module.children():
        nested = isinstance(child, nn.Sequential | nn.ModuleList)
        if sequence and not nested and any(True for _ in child.children()):
            yield child
        else:
            yield from _blocks(child)


def _recomputed(block: nn.Module, forward: Any, *args: Any, **kwargs: Any) -> Any:
    if not (torch.is_grad_enabled() and block.training):
        return forward(*args, **kwargs)
    contexts = lambda: (nullcontext(), _statistics_unchanged(block))  # noqa: E731
    return checkpoint(forward, *args, use_reentrant=False, context_fn=contexts, **kwargs)


@contextmanager
def _statistics_unchanged(block: nn.Module) -> Iterator[None]:
    """BatchNorm normalises by batch statistics, but does not update its running ones again.

    A momentum of 0 does this and keeps `track_running_stats`, so that the recomputed forward pass
    saves the same tensors as the first one, which `checkpoint` requires.
    """
    layers = [m for m in block.modules() if isinstance(m, _BatchNorm)]
    kept = [(layer, layer.momentum, layer.num_batches_tracked) for layer in layers]
    for layer in layers:
        layer.momentum, layer.num_batches_tracked = 0.0, None
    try:
        yield
    finally:
        for layer, momentum, count in kept:
            layer.momentum, layer.num_batches_tracked = momentum, count
