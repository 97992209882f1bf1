"""How a step is computed: choices that change time and memory, and not what is learned."""

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from ssseg.methods.base import Method
from ssseg.models.activation_checkpointing import checkpoint_blocks
from ssseg.types import Batch


@dataclass(frozen=True)
class Compute:
    """How a step is computed.

    Precision, accumulation and clipping are the trainer's: `--trainer.precision bf16-mixed`,
    `--trainer.accumulate_grad_batches`, `--trainer.gradient_clip_val`.

    Args:
        channels_last: Keep images and convolutions with their channels innermost, which tensor
            cores want; faster with mixed precision on GPUs. None: on CPUs, for networks without
            dense dilated convolutions, which are slower so.
        checkpoint_activations: Compute the encoders' blocks again in the backward pass instead of
            keeping what they computed: about a third more time, a fraction of the memory.
        compile: Compile encoder and decoder of every network with `torch.compile`. The first steps
            take minutes; images of one size pay off.
        sync_batchnorm: On several GPUs, normalise over the images of all of them. None: if a device
            sees fewer than 8 labeled or unlabeled images in a step.
    """

    channels_last: bool | None = None
    checkpoint_activations: bool = False
    compile: bool = False
    sync_batchnorm: bool | None = None

    def settled(self, network: nn.Module, device: torch.device) -> "Compute":
        """The same with `channels_last` decided.

        Args:
            network: That is trained.
            device: Where it is trained.
        """
        if self.channels_last is not None:
            return self
        dense = any(
            isinstance(layer, nn.Conv2d) and layer.groups == 1 and max(layer.dilation) > 1
            for layer in network.modules()
        )
        return replace(self, channels_last=device.type == "cpu" and not dense)

    def prepare(self, method: Method, device: torch.device) -> "Compute":
        """Make the networks of a method ready, once, before they are trained.

        Args:
            method: With its networks.
            device: Where they are trained.

        Returns:
            The same with everything decided, which the steps are computed by.
        """
        decided = self.settled(method.student, device)
        if decided.channels_last:
            method.to(memory_format=torch.channels_last)
        # an averaged copy keeps its network inside
        networks: list[Any] = [getattr(n, "module", n) for n in method.networks.values()]
        for network in networks:
            if self.checkpoint_activations and any(p.requires_grad for p in network.parameters()):
                checkpoint_blocks(network.encoder)
            if self.compile:
                # in place: names of parameters stay, and methods may call the two halves apart
                network.encoder.compile()
                network.decoder.compile()
        return decided

    def arrange(self, batch: Batch) -> Batch:
        """A batch with its images as they are wanted in memory."""
        if not self.channels_last:
            return batch
        labeled = batch.labeled._replace(image=_inner(batch.labeled.image))
        views = [_inner(view) for view in batch.unlabeled.views]
        return batch._replace(labeled=labeled, unlabeled=batch.unlabeled._replace(views=views))


def _inner(image: Tensor) -> Tensor:
    return image.contiguous(memory_format=torch.channels_last)
