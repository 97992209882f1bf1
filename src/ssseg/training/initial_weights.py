"""Starting a run from the weights of another model: those that fit are taken."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch

from ssseg.data.datasets.base import ClassInfo
from ssseg.errors import UserError
from ssseg.models.decoders import create_decoder
from ssseg.models.segmenter import Segmenter
from ssseg.prediction.model_file import load
from ssseg.prediction.predictor import Predictor
from ssseg.training.module import SegmentationModule

FEW = 3
"""Names of tensors that start fresh which are printed."""


class Taken(NamedTuple):
    """What a run took from another model; names of tensors, buffers included."""

    file: str
    network: str
    """`student` or `teacher` of that model."""
    taken: list[str]
    fresh: list[str]

    def __str__(self) -> str:
        line = (
            f"starts     from {self.file} (its {self.network}): {len(self.taken)} of "
            f"{len(self.taken) + len(self.fresh)} tensors of the network are taken"
        )
        if not self.fresh:
            return line
        names = ", ".join(self.fresh[:FEW]) + ", ..." * (len(self.fresh) > FEW)
        return f"{line}, {len(self.fresh)} start fresh ({names})"

    def summary(self) -> dict[str, Any]:
        """For summary.json."""
        return {
            **{"file": self.file, "network": self.network},
            **{"taken": len(self.taken), "fresh": len(self.fresh)},
        }


def start_from(
    module: SegmentationModule,
    file: str | Path,
    classes: Sequence[ClassInfo],
    mean: Sequence[float],
    std: Sequence[float],
) -> Taken:
    """Let a module that has not trained yet start from a model's weights.

    The student takes every tensor that its network has by the same name and in the same shape.
    Layers that predict classes are taken only where the classes have the same names. Teachers and
    other parts of the method are made again from this student.

    Args:
        module: Of the run.
        file: A checkpoint or `.safetensors` file of ours.
        classes: Of the run's data.
        mean: Per channel, that the run's images are normalised by.
        std: The same.

    Returns:
        What was taken; it is among the module's notes as well.

    Raises:
        UserError: For a file that is no such model, or one of another encoder.
    """
    student = module.method.student
    with torch.random.fork_rng(
        devices=[]
    ):  # loading a model does not change the run's random numbers
        model = load(file)
        heads = _heads(student)
    theirs, ours = model.network.hparams["encoder"], student.hparams["encoder"]
    if theirs != ours:
        raise UserError(
            f"option --init: {file} holds encoder {theirs!r}, but the network here has {ours!r}; "
            f"give --network.encoder {theirs}"
        )
    if [c.name for c in model.classes] == [c.name for c in classes]:
        heads = set()
    before, found = student.state_dict(), model.network.state_dict()
    fitting = {
        name: found[name]
        for name, tensor in before.items()
        if name in found and found[name].shape == tensor.shape and name not in heads
    }
    student.load_state_dict({**before, **fitting})
    student.pretrained = True
    module.method.setup(student)
    fresh = [name for name in before if name not in fitting]
    taken = Taken(str(file), model.name, list(fitting), fresh)
    module.notes.append(str(taken))
    module.notes += _normalised_otherwise(model, mean, std)
    return taken


def _heads(network: Segmenter) -> set[str]:
    """Names of the tensors that another number of classes would give another shape."""
    recipe = network.hparams
    wider = {**recipe, "num_classes": recipe["num_classes"] + 1}
    other = create_decoder(recipe["decoder"], network.encoder, wider, recipe["decoder_options"])
    shapes = {name: tensor.shape for name, tensor in other.state_dict().items()}
    mine = network.decoder.state_dict()
    return {f"decoder.{n}" for n, tensor in mine.items() if shapes.get(n) != tensor.shape}


def _normalised_otherwise(
    model: Predictor, mean: Sequence[float], std: Sequence[float]
) -> list[str]:
    data = model.data
    pairs = zip((*data.mean, *data.std), (*mean, *std), strict=False)
    if len(data.mean) == len(mean) and all(abs(a - b) < 1e-3 for a, b in pairs):
        return []
    return [
        f"           its images were normalised by mean {_short(data.mean)} and std "
        f"{_short(data.std)}, these are by {_short(mean)} and {_short(std)}; --data.mean and "
        "--data.std would keep the former"
    ]


def _short(values: Sequence[float]) -> str:
    return "[" + ", ".join(f"{value:.3g}" for value in values) + "]"
