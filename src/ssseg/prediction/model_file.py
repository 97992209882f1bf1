"""Trained networks from files: checkpoints, and plain weight files without the training state."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from ssseg.data.info import DataInfo
from ssseg.errors import UserError, one_of
from ssseg.models.segmenter import Segmenter
from ssseg.prediction.predictor import Predictor
from ssseg.runs.checkpoint import read_checkpoint
from ssseg.runs.paths import as_path
from ssseg.serialization import from_config

WEIGHTS = ".safetensors"
LEFT_OUT = ("batches_seen", "format", "networks")
"""Fields of a checkpoint that only training needs."""


def load(path: str | Path, network: str | None = None) -> Predictor:
    """A trained network, ready to use; never runs code that a file may hold.

    Args:
        path: A checkpoint that `ssseg fit` left in `checkpoints/`, or a `.safetensors` file that
            `ssseg export` wrote.
        network: `student` or `teacher`; None: the method's own choice (the teacher where there is
            one).

    Returns:
        The network with classes, normalisation and all else that is needed to predict.

    Raises:
        UserError: For a file that is no such model, or a network that it does not hold.
    """
    try:
        path = as_path(path)
        if path.suffix == WEIGHTS:
            return _load_weights(path, network)
        return _load_checkpoint(path, network)
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"{path} says too little of itself ({type(error).__name__}: {error}); expected what "
            "`ssseg fit` or `ssseg export` wrote"
        ) from error


def _load_checkpoint(path: str | Path, network: str | None) -> Predictor:
    saved = read_checkpoint(path)
    ours = saved["ssseg"]
    prefixes = ours["networks"]
    name = _chosen(path, network, list(prefixes), ours["predictor"])
    prefix = prefixes[name]
    weights = {
        key.removeprefix(prefix): value
        for key, value in saved["state_dict"].items()
        if key.startswith(prefix)
    }
    return _predictor(path, ours, weights, name)


def _filled(path: str | Path, recipe: Mapping[str, Any], weights: dict[str, Any]) -> Segmenter:
    """The network of a recipe with these weights, and no other."""
    segmenter = from_config(recipe, Segmenter)
    try:
        segmenter.load_state_dict(weights)
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{path} does not hold what it says: {reason}") from error
    return segmenter


def save_weights(model: Predictor, path: Path) -> None:
    """Write the network alone as safetensors, with its description in the header.

    Args:
        model: What to write.
        path: Ends in `.safetensors`.
    """
    about = {**model.about, "saved": model.name}
    tensors = {k: v.detach().cpu().contiguous() for k, v in model.network.state_dict().items()}
    save_file(tensors, path, metadata={"ssseg": json.dumps(about)})


def _load_weights(path: Path, network: str | None) -> Predictor:
    if not path.is_file():
        raise UserError(f"there is no model {path}")
    try:
        with safe_open(path, framework="pt") as file:
            header = (file.metadata() or {}).get("ssseg")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path} is not a safetensors file ({error})") from error
    if header is None:
        raise UserError(
            f"{path} holds weights, but not of a model of ssseg; expected what `ssseg export` wrote"
        )
    about = json.loads(header)
    name = _chosen(path, network, [about["saved"]], about["saved"])
    return _predictor(path, about, tensors, name)


def _chosen(path: str | Path, asked: str | None, held: list[str], usual: str) -> str:
    if asked is not None and asked not in held:
        raise one_of(f"network in {path}", asked, held)
    return asked or usual


def _predictor(
    path: str | Path, saved: Mapping[str, Any], weights: dict[str, Any], name: str
) -> Predictor:
    """The network that a file describes, with its weights."""
    if saved["data"] is None:
        raise UserError(
            f"{path} was trained without ssseg's data module and does not say which classes it "
            "knows; train it with SegmentationData"
        )
    data = DataInfo.from_plain(saved["data"])
    about = {key: value for key, value in saved.items() if key not in LEFT_OUT}
    return Predictor(_filled(path, saved["network"], weights), data, name, about)


def to(model: Predictor, device: str | None) -> Predictor:
    """The model on a device; None: the GPU where there is one."""
    usual = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        return model.to(device or usual)
    except (RuntimeError, AssertionError) as error:
        raise UserError(
            f"option --device is {device!r}, but that is not there ({error})"
        ) from error
