"""Checks before training that the networks of a run can take its images.

Forward passes run on torch's meta device, which has shapes and no values. A pass that fails there
is repeated with values, and only that failure counts.
"""

import copy
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from ssseg.data.datasets.base import Split
from ssseg.data.module import SegmentationData
from ssseg.errors import UserError
from ssseg.evaluation.inference import Inference
from ssseg.methods.base import Method
from ssseg.models.segmenter import Segmenter, evaluating
from ssseg.types import Batch, Labeled, Step, Unlabeled

Size = tuple[int, int]
LOOKS = 24
"""Sizes of images that are tried: the smallest, the largest and some between, where there are more
(a pass of a large network on the meta device takes a quarter of a second)."""
SIDES = (64, 96, 128, 160, 192, 224, 256, 288, 320, 384, 448, 512)
"""Of crops that are tried, to propose one."""
ONE_VALUE = "more than 1 value per channel"
"""Part of the error that BatchNorm raises where it has a single value."""
_known: dict[tuple[str, tuple[int, ...], bool], bool] = {}


def check_labels(network: Segmenter, data: Any) -> None:
    """Refuse data of other classes or channels than the network has.

    Args:
        network: To be trained or scored.
        data: The data module; what it does not say is not compared.

    Raises:
        UserError: Where they differ.
    """
    for name, what in (("num_classes", "classes"), ("in_channels", "channels")):
        theirs, ours = getattr(data, name, None), getattr(network, name)
        if theirs is not None and theirs != ours:
            whose = getattr(getattr(data, "source", None), "name", "of the data module")
            raise UserError(
                f"the network has {ours} {what}, but data set {whose!r} has {theirs}; make it "
                f"with {name}={theirs}"
            )


def check_training(method: Method, data: SegmentationData, devices: int = 1) -> None:
    """One forward pass at the shapes of training.

    Args:
        method: With its networks.
        data: With the batches and crops.
        devices: That share a batch.

    Raises:
        UserError: If the crops are no input of the network, or a device sees one image where
            BatchNorm needs several.
    """
    batches = {"batch_size": data.batch_size}
    if method.num_views:
        batches["unlabeled_batch_size"] = data.unlabeled_batch_size
    counts = {name: max(1, size // devices) for name, size in batches.items()}
    shapes = {(count, data.in_channels, *data.crop_size) for count in counts.values()}
    if not any(_refused_on_meta(method.student, shape, train=True) for shape in shapes):
        return
    reason = _refused_step(method, data, counts)
    if reason is None:
        return
    network = _name(method.student)
    several = {name: max(2, count) for name, count in counts.items()}
    more = _refused_step(method, data, several) if ONE_VALUE in reason else reason
    if more is None:
        single = [f"data.{name}" for name, count in counts.items() if count == 1]
        of_a_device = f" on each of {devices} devices" * (devices > 1)
        raise UserError(
            f"option{'s' * (len(single) > 1)} {' and '.join(single)} "
            f"{'leave' if len(single) > 1 else 'leaves'} one image{of_a_device}, but BatchNorm in "
            f"{network} cannot train on the single value per channel that is left of it; give at "
            f"least {2 * devices}, or --network.freeze_bn true"
        )
    height, width = data.crop_size
    most = max(several.values())
    fitting = (s for s in SIDES if not _refused_on_meta(
        method.student, (most, data.in_channels, s, s), train=True
    ))  # fmt: skip
    side = next(fitting, None)
    mend = "" if side is None else f'--data.crop_size "[{side}, {side}]", which does, or '
    raise UserError(
        f"crops of {height} x {width} do not go through {network} ({more}); give {mend}another "
        "network"
    )


def check_evaluation(
    method: Method, inference: Inference, data: SegmentationData, split: Split = "val"
) -> None:
    """One forward pass at the sizes of the images that are scored.

    Args:
        method: With its networks.
        inference: How they are applied.
        data: With the images.
        split: Which of them.

    Raises:
        UserError: For images of a size that a network cannot take.
    """
    sizes = sizes_of(data, split)
    infer = inference.within(data.crop_size)
    for network in _networks(method):
        for size, count in sorted(_spread(sizes, network).items()):
            reason = _refused(network, infer, size, data.in_channels)
            if reason is not None:
                raise _unfit(network, infer, data, split, (size, count, len(sizes)), reason)


def sizes_of(data: SegmentationData, split: Split) -> Counter[Size]:
    """How many images of a split have which height and width when they are scored."""
    source, records = data.source, data.source.records(split)
    if not records:
        return Counter()
    if data.image_size is not None:
        found = Counter({data.image_size: len(records)})
    else:
        known = [source.size_of(record) for record in records]
        # where only decoding would tell, images are assumed to have one size
        height, width = known[0] or source.read_image(records[0]).shape[:2]
        found = Counter(size or (height, width) for size in known)
    if data.eval_crop is None:
        return found
    cropped = Counter[Size]()
    for (height, width), count in found.items():
        cropped[min(height, data.eval_crop[0]), min(width, data.eval_crop[1])] += count
    return cropped


def _unfit(
    network: nn.Module,
    infer: Inference,
    data: SegmentationData,
    split: Split,
    found: tuple[Size, int, int],
    reason: str,
) -> UserError:
    """The error for a size, with remedies that were tried."""
    (height, width), count, others = found
    crop, channels = data.crop_size, data.in_channels
    ways, slide = [], replace(infer, mode="slide").within(crop)
    sizes = _spread(sizes_of(data, split), network)
    if infer.mode == "whole" and not any(_refused(network, slide, s, channels) for s in sizes):
        ways.append("--eval.mode slide, whose windows are as large as training crops")
    if not _refused(network, infer, crop, channels):
        ways.append(f'--data.image_size "[{crop[0]}, {crop[1]}]", to which images are resized')
    ways.append("another network")
    these = f"{count} of the {split} images" if others > 1 else f"the {split} images"
    return UserError(
        f"{these} have a height and width of {height} x {width}, which does not go through "
        f"{_name(network)} ({reason}); give {', or '.join(ways)}"
    )


def _networks(method: Method) -> list[nn.Module]:
    """Those that are scored, without averaged copies of others."""
    found = dict[str, nn.Module]()
    for network in method.networks.values():
        inner = getattr(network, "module", network)
        found.setdefault(_recipe(inner) or str(id(inner)), inner)
    return list(found.values())


def _spread(sizes: Counter[Size], network: nn.Module) -> dict[Size, int]:
    """One size of those that are padded to the same, at most `LOOKS`, the extremes among them."""
    unit = int(getattr(network, "divisor", 1))
    padded = dict[Size, tuple[Size, int]]()
    for (height, width), count in sorted(sizes.items()):
        key = -(-height // unit), -(-width // unit)
        size, so_far = padded.get(key, ((height, width), 0))
        padded[key] = size, so_far + count
    every = sorted(padded.values(), key=lambda one: one[0][0] * one[0][1])
    if len(every) > LOOKS:
        narrow = min(every, key=lambda one: one[0][1]), min(every, key=lambda one: one[0][0])
        rest = LOOKS - len(narrow) - 1
        every = [*narrow, *(every[i * (len(every) - 1) // rest] for i in range(rest + 1))]
    return dict(every)


def _refused(network: nn.Module, infer: Inference, size: Size, channels: int) -> str | None:
    """Why images of a size cannot be scored; None if they can."""
    inputs = infer.inputs(size)
    if not any(_refused_on_meta(network, (1, channels, *given), train=False) for given in inputs):
        return None
    for height, width in inputs:
        try:
            with evaluating(network):
                network(torch.zeros(1, channels, height, width, device=_device(network)))
        except Exception as error:
            return _reason(error)
    return None


def _refused_on_meta(network: nn.Module, shape: tuple[int, ...], *, train: bool) -> bool:
    """Whether a pass fails on shapes alone; computed once for networks of one configuration."""
    recipe = _recipe(network)
    key = (recipe, shape, train)
    if recipe and key in _known:
        return _known[key]
    try:
        twin = copy.deepcopy(network).to("meta").train(train)
        with torch.no_grad():
            twin(torch.empty(shape, device="meta"))
        refused = False
    except Exception:  # a layer does not fit, or computes with values
        refused = True
    if recipe:
        _known[key] = refused
    return refused


def _refused_step(method: Method, data: SegmentationData, counts: dict[str, int]) -> str | None:
    """Why a step of a copy, late in the run where every term counts, fails; None if it does not."""
    twin, device = copy.deepcopy(method).train(), _device(method.student)
    source = torch.Generator(device).manual_seed(0)

    def images(count: int) -> Tensor:
        size = (count, data.in_channels, *data.crop_size)
        return torch.randn(size, generator=source, device=device)

    few, many = counts["batch_size"], counts.get("unlabeled_batch_size", 0)
    label = torch.zeros(few, *data.crop_size, dtype=torch.int64, device=device)
    valid = torch.ones(many, *data.crop_size, dtype=torch.bool, device=device)
    views = [images(many) for _ in range(method.num_views)]
    batch = Batch(Labeled(images(few), label), Unlabeled(views, valid))
    try:
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            twin.losses(batch, Step(999, 1000, source))
    except Exception as error:
        return _reason(error)
    return None


def _reason(error: Exception) -> str:
    lines: Sequence[str] = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__).rstrip(".")


def _recipe(network: nn.Module) -> str:
    """Everything that shapes depend on; empty for networks of other libraries."""
    return str(getattr(network, "hparams", ""))


def _name(network: nn.Module) -> str:
    recipe = getattr(network, "hparams", None)
    if recipe is None:
        return type(network).__name__
    return f"{recipe['decoder']} on {recipe['encoder']}"


def _device(network: nn.Module) -> torch.device:
    tensors: Iterable[Tensor] = network.parameters()
    return next((tensor.device for tensor in tensors), torch.device("cpu"))
