"""Less memory for more time: a block's activations are computed again in the backward pass."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint


def checkpoint_blocks(network: nn.Module) -> int:
    """Keep of every block of a network only what goes in (Chen et al., 2016).

    A block is what stands in a sequence and has layers of its own: a residual block, a transformer
    layer. Gradients stay the same to the bit, and running statistics are updated once.

    Args:
        network: Changed in place; its parameters and their names stay as they are.

    Returns:
        How many blocks were found.
    """
    blocks = list(_blocks(network))
    for block in blocks:
        # on the instance: class, children and state stay what they are
        block.forward = partial(_recomputed, block, block.forward)
    return len(blocks)


def _blocks(module: nn.Module) -> Iterator[nn.Module]:
    """The outermost blocks."""
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
    contexts = lambda: (nullcontext(), _still(block))  # noqa: E731
    return checkpoint(forward, *args, use_reentrant=False, context_fn=contexts, **kwargs)


@contextmanager
def _still(block: nn.Module) -> Iterator[None]:
    """BatchNorm normalises by the batch again, but does not count it again.

    By a momentum of 0, not without running statistics: what is saved must be what was saved before.
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
