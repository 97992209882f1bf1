"""How much memory a training step and a validation take, counted without computing values.

Tensors on torch's meta device have shapes and no values, so that a step of a network of any size
takes a second.
"""

import json
import weakref
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from ssseg.data.module import SegmentationData
from ssseg.errors import UserError
from ssseg.models import Segmenter
from ssseg.models.ema import EMA
from ssseg.runs.machine import machine_memory
from ssseg.training.module import SegmentationModule
from ssseg.training.shape_check import sizes_of

FLOAT = 4
"""Bytes of a value in 32 bits, in which a run computes unless it is told otherwise."""
LABEL = 8
"""Bytes of the label of a pixel."""
IMAGES = 2
"""Images of the counted step: BatchNorm cannot train on one."""


class Memory(NamedTuple):
    """Bytes of a training step."""

    activations: int
    """What the forward pass keeps for the backward pass, of all images of a step."""
    weights: int
    """Of the networks and the teacher's copy, with gradients and AdamW's two moments of those that
    are trained."""
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
    trained: int = 1,
) -> Memory:
    """What a step holds when its backward pass begins; temporary buffers come on top.

    Args:
        network: Options of `Segmenter`.
        crop_size: Height and width of the images.
        num_classes: Of the network.
        in_channels: Of the images.
        images: Number of images that the trained network sees in a step.
        teacher: Whether an averaged copy of the network is kept.
        trained: Number of networks that are trained on these images.
    """
    asked = json.dumps([network, num_classes, in_channels])
    return _step(asked, (crop_size[0], crop_size[1]), images, teacher, trained)


@lru_cache(maxsize=256)
def _step(
    asked: str, crop_size: tuple[int, int], images: int, teacher: bool, networks: int
) -> Memory:
    network, num_classes, in_channels = json.loads(asked)
    with torch.random.fork_rng(devices=[]), torch.device("meta"):
        model = Segmenter(num_classes, in_channels, **network).train()
        image = torch.empty(IMAGES, in_channels, *crop_size)
        label = torch.empty(IMAGES, *crop_size, dtype=torch.int64)
    kept = dict[int, int]()
    alive = list[Tensor]()

    def keep(tensor: Tensor) -> Tensor:
        # views and layers that work in place share a storage; a living tensor keeps its address
        storage = tensor.untyped_storage()
        kept[storage._cdata] = storage.nbytes()
        alive.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor), FusedAttention():
        loss = F.cross_entropy(model(image), label)
    own = {p.untyped_storage()._cdata for p in [*model.parameters(), *model.buffers()]}
    activations = sum(size for address, size in kept.items() if address not in own)
    parameters = sum(p.numel() for p in model.parameters())
    del loss  # the graph kept the counted tensors alive until here
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    held = (networks + teacher) * parameters + 3 * networks * trained
    name = f"{model.hparams['decoder']} on {model.hparams['encoder']}"
    return Memory(networks * activations * images // IMAGES, FLOAT * held, parameters, name)


def memory_of_validation(
    network: dict[str, Any],
    size: Sequence[int],
    *,
    num_classes: int,
    in_channels: int,
    images: int,
    batch: int,
) -> int:
    """Bytes that a validation holds at most, besides what is kept of the training.

    Args:
        network: Options of `Segmenter`.
        size: Height and width of the images, or of the windows that slide over them.
        num_classes: Of the network.
        in_channels: Of the images.
        images: Number of images that go through the network at once.
        batch: Number of images that are read at once.
    """
    height, width = size
    peak = _peak(json.dumps([network, num_classes, in_channels]), (height, width))
    return images * peak + batch * height * width * (FLOAT * in_channels + LABEL)


@lru_cache(maxsize=256)
def _peak(asked: str, size: tuple[int, int]) -> int:
    """Bytes that the pass of one image makes at most."""
    network, num_classes, in_channels = json.loads(asked)
    with torch.random.fork_rng(devices=[]), torch.device("meta"):
        model = Segmenter(num_classes, in_channels, **network).eval()
        image = torch.empty(1, in_channels, *size)
    peak = Peak()
    with torch.no_grad(), peak, FusedAttention():
        model(image).argmax(1)
    return peak.most


class FusedAttention(TorchFunctionMode):
    """Attention as devices compute it, without a matrix of positions x positions.

    The meta device would make that matrix, which can be most of what a transformer seems to hold. A
    mask that is learned needs it on CPUs as well.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run a function; attention by its fused operator where there is one."""
        kwargs = kwargs or {}
        if func is not F.scaled_dot_product_attention:
            return func(*args, **kwargs)
        mask = kwargs.get("attn_mask")
        learned = mask is not None and mask.requires_grad and torch.is_grad_enabled()
        if learned or len(args) != 3 or any(tensor.dim() != 4 for tensor in args):
            return func(*args, **kwargs)
        fused = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
        return fused(*args, attn_mask=mask)[0]


class Peak(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """The most bytes that the tensors made inside held at once."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.held: int = 0
        self.most: int = 0
        self._alive = weakref.WeakSet[Any]()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operator, and count what it makes."""
        out = func(*args, **(kwargs or {}))
        for value in tree_leaves(out):
            if isinstance(value, Tensor):
                self._add(value.untyped_storage())
        return out

    def _add(self, storage: Any) -> None:
        if storage in self._alive:
            return
        self._alive.add(storage)
        size = storage.nbytes()
        self.held += size
        self.most = max(self.most, self.held)
        weakref.finalize(storage, self._free, size)

    def _free(self, size: int) -> None:
        self.held -= size


def available_memory() -> int:
    """Bytes that this process could still take from a machine without a GPU."""
    info = Path("/proc/meminfo")
    free = machine_memory()
    if info.is_file():
        lines = (line.split() for line in info.read_text(encoding="ascii").splitlines())
        free = min(free, next(int(n) * 1024 for key, n, *_ in lines if key == "MemAvailable:"))
    return free


class Needs(NamedTuple):
    """Bytes that a run holds at least."""

    step: int
    """In a training step."""
    validation: int
    """In a validation."""


def memory_of_run(data: SegmentationData, module: SegmentationModule) -> Needs | None:
    """What a run holds at least, see `ssseg.training.memory`; None where that is unknown."""
    if module.compute.checkpoint_activations:
        return None
    hparams = module.method.student.hparams
    given = ("num_classes", "in_channels")  # the data's
    network = {name: value for name, value in hparams.items() if name not in given}
    kind = {"num_classes": data.num_classes, "in_channels": data.in_channels}
    images = data.batch_size + (data.unlabeled_batch_size if module.num_views else 0)
    parts = list(module.method.modules())
    teacher = any(isinstance(part, EMA) for part in parts)
    networks = [part for part in parts if isinstance(part, Segmenter)]
    trained = sum(any(p.requires_grad for p in part.parameters()) for part in networks)
    infer, sizes = module.inference.within(data.crop_size), sizes_of(data, "val")
    largest = max(sizes, key=lambda size: size[0] * size[1])
    seen = max(infer.inputs(largest), key=lambda size: size[0] * size[1])
    batch = min(data.val_batch_size, sizes[largest])
    whole = min(batch, infer.images_at_once(largest))
    at_once = infer.batch_size if infer.mode == "slide" else whole
    try:
        step = memory_of_step(
            network, data.crop_size, images=images, teacher=teacher, trained=trained, **kind
        )
        scoring = memory_of_validation(network, seen, images=at_once, batch=batch, **kind)
    except (RuntimeError, NotImplementedError):  # a layer that has no shapes without values
        return None
    return Needs(step.total, step.weights + scoring)


def check_fits(needs: Needs, at_once: int, device: torch.device) -> None:
    """Refuse a run that needs more memory than there is, by a lower bound: it would be killed."""
    if device.type == "cuda":
        total, at_once = torch.cuda.get_device_properties(device).total_memory, 1
    else:
        total = machine_memory()
    if at_once * max(needs) <= total:
        return
    several = f" for each of {at_once} runs at once" * (at_once > 1)
    mend = ", or --jobs" * (at_once > 1)
    what, held, options = (
        ("a step", needs.step, "lower data.batch_size or data.crop_size")
        if at_once * needs.step > total
        else (
            *("the validation", needs.validation),
            "give --eval.mode slide, or lower data.val_batch_size",
        )
    )
    raise UserError(
        f"{what} needs at least {held / 2**30:.1f} GB{several}, but there are "
        f"{total / 2**30:.1f} GB; {options}{mend}"
    )
