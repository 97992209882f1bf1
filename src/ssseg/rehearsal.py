"""What runs will be like, found out before any of them trains: one process for all of them.

`python -m ssseg.rehearsal` reads a request from standard input and writes one JSON object per run,
each on a line of its own, into the file that it names. A benchmark, which must not import torch,
asks it.
"""

import json
import math
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any, NamedTuple

import torch
import yaml

from ssseg.arguments import without
from ssseg.data.module import SegmentationData
from ssseg.doctor.memory import memory_of_step, memory_of_validation
from ssseg.errors import UserError
from ssseg.machine import machine_memory
from ssseg.models.ema import EMA
from ssseg.module import SegmentationModule
from ssseg.options import Traceless, command_line
from ssseg.run import config_hash
from ssseg.shapes import sizes_of
from ssseg.trainer_rules import seconds_of
from ssseg.trial import TrialSteps

LOOKS = (0.0, 0.35, 0.65, 1.0)
"""Places in a run whose steps are timed: a method may do other things early than late."""
LONG = 20.0
"""Seconds after which a step is not timed again, nor another one of the same run."""


class Needs(NamedTuple):
    """Bytes that a run holds at least."""

    step: int
    """In a training step."""
    validation: int
    """In a validation."""


class Rehearsal(Traceless):
    """Makes everything that training needs, looks at all data, and leaves no trace."""

    def _run_subcommand(self, subcommand: str) -> None:
        self.before_fit()


def rehearse(args: Sequence[str], *, measure: bool = False, at_once: int = 0) -> dict[str, Any]:
    """What the run of a command line will be like.

    Args:
        args: `fit` and its options.
        measure: Carry out a few steps on this machine to see how long it will take.
        at_once: Runs of this kind that share this machine's memory; 0: on another machine.

    Returns:
        `config` (everything that decides the run, defaults included), its `config_hash`, the
        `split_hash`, `parameters` of the network, `memory` in bytes of a step or of the
        validation, whichever is more (None if it cannot be counted), and `seconds` of its training
        if measured.

    Raises:
        UserError: If it cannot work.
    """
    rest = without(args[1:], "--out")
    cli = command_line(Rehearsal, "fit", rest)
    data, module = cli.datamodule, cli.model
    assert isinstance(data, SegmentationData)
    assert isinstance(module, SegmentationModule)
    if not data.source.records("val"):
        raise UserError(
            f"data set {data.source.name!r} has no validation images with masks; expected some to "
            "compare by"
        )
    if not cli.validates:
        raise UserError(
            "option trainer.limit_val_batches is 0, but runs are compared by their scores on the "
            "validation images; leave it out"
        )
    config = yaml.safe_load(cli.configuration())
    precision = str(cli.trainer.precision)
    memory = _memory(data, module) if precision.startswith("32") else None
    device = cli.trainer.strategy.root_device
    if at_once and memory is not None:
        _fits(memory, at_once, device)
    seconds = None
    if measure:
        trial = TrialSteps(cli.trainer, module, data)
        seconds = _seconds(trial, config["trainer"]["val_check_interval"])
    return {
        "config": config,
        "config_hash": config_hash(config),
        "split_hash": data.split_hash,
        "parameters": sum(p.numel() for p in module.method.student.parameters()),
        "memory": None if memory is None else max(memory),
        "seconds": seconds,
    }


def _memory(data: SegmentationData, module: SegmentationModule) -> Needs | None:
    """What a run holds at least, see `ssseg.doctor.memory`; None where that is unknown."""
    if module.compute.checkpoint_activations:
        return None
    hparams = module.method.student.hparams
    given = ("num_classes", "in_channels")  # the data's
    network = {name: value for name, value in hparams.items() if name not in given}
    kind = {"num_classes": data.num_classes, "in_channels": data.in_channels}
    images = data.batch_size + (data.unlabeled_batch_size if module.num_views else 0)
    teacher = any(isinstance(part, EMA) for part in module.method.modules())
    infer, sizes = module.inference.within(data.crop_size), sizes_of(data, "val")
    largest = max(sizes, key=lambda size: size[0] * size[1])
    seen = max(infer.inputs(largest), key=lambda size: size[0] * size[1])
    batch = min(data.val_batch_size, sizes[largest])
    whole = min(batch, infer.images_at_once(largest))
    at_once = infer.batch_size if infer.mode == "slide" else whole
    try:
        step = memory_of_step(network, data.crop_size, images=images, teacher=teacher, **kind)
        scoring = memory_of_validation(network, seen, images=at_once, batch=batch, **kind)
    except (RuntimeError, NotImplementedError):  # a layer that has no shapes without values
        return None
    return Needs(step.total, step.weights + scoring)


def _fits(needs: Needs, at_once: int, device: torch.device) -> None:
    """Refuse what needs more memory than there is, counted low: such a run would be killed."""
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


def _seconds(trial: TrialSteps, every: Any) -> float:
    """Of a whole run: its steps and its validations, not its start.

    Args:
        trial: Its steps.
        every: Batches between validations, or a time.
    """
    steps, batches = trial.steps, trial.batches()
    all_batches = steps * trial.batches_per_step
    times = []
    for share in LOOKS:
        index = round(share * (steps - 1))
        trial.step(batches, index)  # what is slow only once
        times.append(trial.step(batches, index))
        if times[-1] > LONG:
            break
    training = mean(times) * all_batches
    timed = seconds_of(every)
    validations = all_batches / every if timed is None else training / timed
    return training + math.ceil(validations) * trial.validation()


def outlooks(request: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """One answer per run: what `rehearse` says, or the `error`."""
    for args in request["runs"]:
        try:
            yield rehearse(args, measure=request["measure"], at_once=request["at_once"])
        except UserError as error:
            yield {"error": " ".join(str(error).split())}
        except torch.OutOfMemoryError:
            yield {"error": "a step does not fit the GPU; lower data.batch_size or data.crop_size"}


def main() -> None:
    """Answer the request on standard input."""
    request = json.load(sys.stdin)
    with Path(request["answers"]).open("w", encoding="utf-8") as file:
        ready = {"gpus": torch.cuda.device_count(), "ready": time.time()}
        file.write(json.dumps(ready) + "\n")
        for answer in outlooks(request):
            file.write(json.dumps(answer) + "\n")
            file.flush()


if __name__ == "__main__":
    main()
