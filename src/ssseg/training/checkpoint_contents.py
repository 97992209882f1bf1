"""What a checkpoint says of itself beside the weights: method, network, data and scores."""

from collections.abc import Mapping
from inspect import signature
from typing import Any

from torch import nn

from ssseg.data.info import DataInfo
from ssseg.errors import UserError
from ssseg.evaluation.metrics import Scores
from ssseg.methods.base import Method
from ssseg.serialization import refuse_retired, to_config, to_plain
from ssseg.training.batchnorm_rule import freeze_as
from ssseg.version import __version__

FORMAT = 2
"""Version of these contents; 2 holds split, scores, kind of images and names of weights."""


def contents_of(
    root: nn.Module, method: Method, info: DataInfo | None, scores: Mapping[str, Scores]
) -> dict[str, Any]:
    """Everything that prediction, export and a report need, as plain data.

    Args:
        root: The module whose `state_dict` the checkpoint holds.
        method: Inside it.
        info: Of the data; None where there is none.
        scores: Of each network, by name.
    """
    names = [c.name for c in info.classes] if info else []
    return {
        "format": FORMAT,
        "version": __version__,
        "method": to_config(method),
        "network": to_config(method.student),
        "networks": {name: _prefix(root, network) for name, network in method.networks.items()},
        "predictor": method.predictor,
        "data": None if info is None else to_plain(info),
        "scores": {name: score.as_dict(names) for name, score in scores.items() if names},
    }


def _prefix(root: nn.Module, network: nn.Module) -> str:
    """What the names of a network's weights begin with in the checkpoint."""
    network = getattr(network, "module", network)  # an averaged copy keeps it inside
    return next(f"{path}." for path, part in root.named_modules() if part is network)


def prepare_for(checkpoint: Mapping[str, Any], method: Method) -> None:
    """Make a method ready to go on from a checkpoint.

    Where no option says whether BatchNorm is frozen, it is frozen as in that run: the rule that
    decided it is about training batches, which a validation or a test does not have.

    Args:
        checkpoint: With what `contents_of` returned under `ssseg`.
        method: That is to go on from it.

    Raises:
        UserError: If it is of another program, method or network, with the first difference.
    """
    saved = checkpoint.get("ssseg")
    if saved is None:
        raise UserError("this checkpoint was not written by ssseg")
    freeze_as(saved["network"]["init_args"].get("freeze_bn", False), method)
    for part, mine in (("method", method), ("network", method.student)):
        ours, theirs = to_config(mine), saved[part]
        refuse_retired(type(mine), theirs["init_args"], "the checkpoint")
        # an option that is younger than the checkpoint had its default then
        defaults = {name: p.default for name, p in signature(type(mine)).parameters.items()}
        theirs = {**theirs, "init_args": {**defaults, **theirs["init_args"]}}
        if (found := _first_difference(theirs, ours)) is not None:
            raise UserError(
                f"the checkpoint's {part} has {found[0]} = {found[1]!r}, but this run's has "
                f"{found[2]!r}; start from the configuration that the checkpoint was made with"
            )


def _first_difference(theirs: dict[str, Any], ours: dict[str, Any]) -> tuple[str, Any, Any] | None:
    if theirs["class_path"] != ours["class_path"]:
        return "class", theirs["class_path"], ours["class_path"]
    for key, value in ours["init_args"].items():
        if (given := theirs["init_args"].get(key)) != value:
            return key, given, value
    return None
