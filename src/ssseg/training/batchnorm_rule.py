"""Whether BatchNorm is trained, where no option says it."""

from typing import Any, Literal

from ssseg.methods.base import Method
from ssseg.models.segmenter import Segmenter

FEW = 16
"""Images of a kind on a device, below which a pretrained BatchNorm is frozen."""


def freeze_by_rule(method: Method, data: Any, devices: int) -> list[str]:
    """Freeze the BatchNorm of pretrained networks that train on batches of a few images.

    The statistics of a few images are noise beside those of the pretraining. Networks whose
    `freeze_bn` is given, and networks from random weights, do not change.

    Args:
        method: With its networks.
        data: The data module, with its batch sizes over all devices.
        devices: Number of devices.

    Returns:
        A line about it for the start of the run; none if nothing was frozen.
    """
    asked = [m for m in _ruled(method) if m.pretrained and not m.independent]
    sizes = [getattr(data, name, FEW) for name in ("batch_size", "unlabeled_batch_size")]
    fewest = min(sizes[: 2 if method.num_views else 1]) // devices
    if not asked or fewest >= FEW:
        return []
    _freeze(asked, True, method)
    return [
        f"BatchNorm  frozen: the encoder is pretrained and a device sees {fewest} images of a kind "
        f"per step, fewer than {FEW} (--network.freeze_bn false trains it)"
    ]


def freeze_as(value: bool | Literal["encoder"], method: Method) -> None:
    """Freeze BatchNorm as in an earlier run, in the networks for which no option says it.

    Args:
        value: What the networks of that run were made with, see `Segmenter.freeze_bn`.
        method: With its networks.
    """
    _freeze([m for m in _ruled(method) if m.freeze_bn != value], value, method)


def _ruled(method: Method) -> list[Segmenter]:
    return [m for m in method.modules() if isinstance(m, Segmenter) and m.freeze_bn_by_rule]


def _freeze(networks: list[Segmenter], value: bool | Literal["encoder"], method: Method) -> None:
    for network in networks:
        network.set_freeze_bn(value)
    if networks:
        method.train(method.training)  # parts of the method follow their network
