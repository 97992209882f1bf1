"""BatchNorm over the images of all devices: when it is used, and how layers are converted."""

from typing import Any, NamedTuple

from pytorch_lightning import Trainer
from timm.layers.norm_act import convert_sync_batchnorm
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from ssseg.models.segmenter import Segmenter

SMALL = 8
"""Images on a device, below which its own statistics are too noisy to normalise by."""


class Replaced(NamedTuple):
    """A BatchNorm layer whose place a synchronised one has taken."""

    parent: nn.Module
    name: str
    """Of the layer in `parent`."""
    layer: nn.Module


def wants_sync(asked: bool | None, network: Segmenter, trainer: Trainer, data: Any) -> bool:
    """Whether BatchNorm normalises over all devices.

    Args:
        asked: What `compute.sync_batchnorm` says. None: on GPUs (PyTorch has it for no other
            device), if BatchNorm is trained and a device sees fewer than `SMALL` labeled or
            unlabeled images in a step.
        network: To be trained.
        trainer: That trains it.
        data: The data module.
    """
    if asked is not None:
        return asked
    sizes = [getattr(data, name, SMALL) for name in ("batch_size", "unlabeled_batch_size")]
    few = min(sizes) // trainer.world_size < SMALL
    return few and trainer.strategy.root_device.type == "cuda" and not network.independent


def synchronise(root: nn.Module) -> list[Replaced]:
    """Put synchronised layers in the place of BatchNorm layers, with the same tensors.

    timm's conversion keeps the activation that its `BatchNormAct2d` holds; PyTorch's own drops it.

    Returns:
        What was replaced, for `restore`. Layers that are synchronised already stay.
    """
    replaced = [
        Replaced(parent, name, layer)
        for parent in root.modules()
        for name, layer in parent.named_children()
        if isinstance(layer, _BatchNorm) and not isinstance(layer, nn.SyncBatchNorm)
    ]
    converted = {
        layer: convert_sync_batchnorm(layer)  # type: ignore[no-untyped-call]
        for _, _, layer in replaced
    }
    for parent, name, layer in replaced:
        setattr(parent, name, converted[layer])
    return replaced


def restore(replaced: list[Replaced]) -> None:
    """Put the layers back, with the tensors that training left in the synchronised ones.

    Args:
        replaced: What `synchronise` returned; empty afterwards.
    """
    while replaced:
        parent, name, layer = replaced.pop()
        trained: nn.Module = getattr(parent, name)
        tensors = {
            **dict(trained.named_parameters(recurse=False)),
            **dict(trained.named_buffers(recurse=False)),
        }
        for key, tensor in tensors.items():
            setattr(layer, key, tensor)
        layer.training = trained.training
        setattr(parent, name, layer)
