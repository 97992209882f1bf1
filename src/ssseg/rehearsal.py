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
from functools import lru_cache
from pathlib import Path
from statistics import mean
from typing import Any

import torch
import yaml

from ssseg.arguments import without
from ssseg.data.module import SegmentationData
from ssseg.doctor.memory import memory_of_step
from ssseg.errors import UserError
from ssseg.machine import machine_memory
from ssseg.models.ema import EMA
from ssseg.module import SegmentationModule
from ssseg.options import Traceless, command_line
from ssseg.run import config_hash
from ssseg.trial import TrialSteps

LOOKS = (0.0, 0.35, 0.65, 1.0)
"""Places in a run whose steps are timed: a method may do other things early than late."""
LONG = 20.0
"""Seconds after which a step is not timed again, nor another one of the same run."""


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
        `split_hash`, `parameters` of the network, `memory` of a step in bytes (None if it cannot
        be counted), and `seconds` of its training if measured.

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
        "memory": memory,
        "seconds": seconds,
    }


def _memory(data: SegmentationData, module: SegmentationModule) -> int | None:
    """Bytes that a step holds at least, see `ssseg.doctor.memory`; None where that is unknown."""
    if module.compute.checkpoint_activations:
        return None
    hparams = module.method.student.hparams
    known = ("decoder", "encoder", "depth", "output_stride", "encoder_options", "decoder_options")
    asked = {
        "network": {name: hparams[name] for name in known},
        "crop_size": data.crop_size,
        "num_classes": data.num_classes,
        "in_channels": data.in_channels,
        "images": data.batch_size + (data.unlabeled_batch_size if module.num_views else 0),
        "teacher": any(isinstance(part, EMA) for part in module.method.modules()),
    }
    return _counted(json.dumps(asked))


@lru_cache
def _counted(asked: str) -> int | None:
    try:
        return memory_of_step(**json.loads(asked)).total
    except (RuntimeError, NotImplementedError):  # a layer that has no shapes without values
        return None


def _fits(memory: int, at_once: int, device: torch.device) -> None:
    """Refuse what needs more memory than there is, counted low: such a run would be killed."""
    if device.type == "cuda":
        total, at_once = torch.cuda.get_device_properties(device).total_memory, 1
    else:
        total = machine_memory()
    if at_once * memory <= total:
        return
    several = f" for each of {at_once} runs at once" * (at_once > 1)
    mend = ", or --jobs" * (at_once > 1)
    raise UserError(
        f"a step needs at least {memory / 2**30:.1f} GB{several}, but there are "
        f"{total / 2**30:.1f} GB; lower data.batch_size or data.crop_size{mend}"
    )


def _seconds(trial: TrialSteps, every: float | int) -> float:
    """Of a whole run: its steps and its validations, not its start."""
    steps, batches = trial.steps, trial.batches()
    all_batches = steps * trial.batches_per_step
    times = []
    for share in LOOKS:
        index = round(share * (steps - 1))
        trial.step(batches, index)  # what is slow only once
        times.append(trial.step(batches, index))
        if times[-1] > LONG:
            break
    interval = every if isinstance(every, int) else max(1, round(every * all_batches))
    return mean(times) * all_batches + math.ceil(all_batches / interval) * trial.validation()


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
