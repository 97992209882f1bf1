"""How much memory a training step takes, counted without computing anything.

torch's meta device knows the shape of every tensor and holds none of their values, so that a
network can be taken through a step in a second whatever its size.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from ssseg.models import Segmenter

FLOAT = 4
"""Bytes of a value in 32 bits, in which a run computes unless it is told otherwise."""
IMAGES = 2
"""That are counted, and divided by: BatchNorm refuses to train on a single value."""


class Memory(NamedTuple):
    """Bytes of a training step."""

    activations: int
    """What the forward pass keeps for the backward pass, of all images of a step."""
    weights: int
    """Of the network, with gradients, AdamW's two moments and the teacher's copy."""
    parameters: int
    """Number of weights of the network."""
    network: str
    """The decoder and the encoder that were counted."""

    @property
    def total(self) -> int:
        """All of it."""
        return self.activations + self.weights


def memory_of_step(
    network: dict[str, Any],
    crop_size: Sequence[int],
    *,
    num_classes: int,
    in_channels: int,
    images: int,
    teacher: bool,
) -> Memory:
    """What a step holds when its backward pass begins; temporary buffers come on top.

    Args:
        network: Options of `Segmenter`.
        crop_size: Height and width of the images.
        num_classes: Of the network.
        in_channels: Of the images.
        images: That the network being trained sees in a step.
        teacher: Whether an averaged copy of the network is kept.
    """
    with torch.random.fork_rng(devices=[]), torch.device("meta"):
        model = Segmenter(num_classes, in_channels, **network).train()
        image = torch.empty(IMAGES, in_channels, *crop_size)
        label = torch.empty(IMAGES, *crop_size, dtype=torch.int64)
    kept = dict[int, int]()
    alive = list[Tensor]()

    def keep(tensor: Tensor) -> Tensor:
        # views and layers that work in place share a storage; what is alive keeps its address
        storage = tensor.untyped_storage()
        kept[storage._cdata] = storage.nbytes()
        alive.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss = F.cross_entropy(model(image), label)
    own = {p.untyped_storage()._cdata for p in [*model.parameters(), *model.buffers()]}
    activations = sum(size for address, size in kept.items() if address not in own)
    parameters = sum(p.numel() for p in model.parameters())
    del loss  # until here the graph holds on to what was counted
    copies = 4 + teacher
    name = f"{model.hparams['decoder']} on {model.hparams['encoder']}"
    return Memory(activations * images // IMAGES, copies * FLOAT * parameters, parameters, name)
