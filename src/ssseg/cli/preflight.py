"""Checks the runs of a benchmark before training, in one process for all runs.

`python -m ssseg.cli.preflight` reads a request from standard input and writes one line of JSON per
run into the file that the request names. A benchmark starts this process, because it must not
import torch itself.
"""

import json
import math
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

import torch
import yaml

from ssseg.cli.lightning_cli import TracelessCLI, training_environment
from ssseg.data.module import SegmentationData
from ssseg.errors import UserError
from ssseg.runs.command import without
from ssseg.runs.run import config_hash
from ssseg.training.memory import check_fits, memory_of_run
from ssseg.training.module import SegmentationModule
from ssseg.training.option_values import seconds_of
from ssseg.training.step_timer import StepTimer

LOOKS = (0.0, 0.35, 0.65, 1.0)
"""Positions in a run (shares of all steps) whose steps are timed, because steps may differ."""
LONG = 20.0
"""After a step of more seconds no further steps of the run are timed."""


def prepared(args: Sequence[str] | Mapping[str, Any]) -> TracelessCLI:
    """Trainer, model and checked data of a run, without writing files.

    Args:
        args: Options of `ssseg fit` as they are typed, or as plain values by name.

    Raises:
        UserError: If the run cannot work.
    """
    options = args if isinstance(args, Mapping) else without(args, "--out")
    with training_environment():
        cli = TracelessCLI("fit", options)
        cli.prepare()
    return cli


def preflight(args: Sequence[str], *, measure: bool = False, at_once: int = 0) -> dict[str, Any]:
    """Check a run before training.

    Args:
        args: `fit` and its options.
        measure: Time a few steps on this machine to estimate the duration.
        at_once: Number of such runs that share the memory of this machine; 0: they run on another.

    Returns:
        `config` (the full configuration with defaults), its `config_hash`, the `split_hash`,
        `parameters` (number of parameters of the student), `memory` in bytes (the larger one of
        step and validation, None if unknown), `seconds` (duration of the training without its
        start, None if not measured) and `data` (`name` of the data set, images of `val` and
        `unlabeled` ones; None if these play no part).

    Raises:
        UserError: If the run cannot work.
    """
    cli = prepared(args[1:])
    data, module = cli.datamodule, cli.model
    assert isinstance(data, SegmentationData)
    assert isinstance(module, SegmentationModule)
    if not data.source.records("val"):
        raise UserError(
            f"data set {data.source.name!r} has no validation images with masks, but runs are "
            "compared by their scores on validation images; add some"
        )
    if not cli.validates:
        raise UserError(
            "option trainer.limit_val_batches is 0, but runs are compared by their scores on "
            "validation images; remove the option"
        )
    config = yaml.safe_load(cli.configuration())
    precision = str(cli.trainer.precision)
    memory = memory_of_run(data, module) if precision.startswith("32") else None
    device = cli.trainer.strategy.root_device
    if at_once and memory is not None:
        check_fits(memory, at_once, device)
    seconds = None
    if measure:
        timer = StepTimer(cli.trainer, module, data)
        seconds = _seconds(timer, config["trainer"]["val_check_interval"])
    return {
        "config": config,
        "config_hash": config_hash(config),
        "split_hash": data.split_hash,
        "parameters": sum(p.numel() for p in module.method.student.parameters()),
        "memory": None if memory is None else max(memory),
        "seconds": seconds,
        "data": {
            "name": data.source.name,
            "val": len(data.source.records("val")),
            "unlabeled": len(data.unlabeled) if module.num_views else None,
        },
    }


def _seconds(timer: StepTimer, every: Any) -> float:
    """Estimated seconds of a run: its steps and validations, without its start.

    Args:
        timer: Measures steps and validations.
        every: Batches between validations, or a time.
    """
    steps, batches = timer.steps, timer.batches()
    all_batches = steps * timer.batches_per_step
    times = []
    for share in LOOKS:
        index = round(share * (steps - 1))
        timer.step(batches, index)  # warm-up: the first step is slower
        times.append(timer.step(batches, index))
        if times[-1] > LONG:
            break
    training = mean(times) * all_batches
    timed = seconds_of(every)
    validations = all_batches / every if timed is None else training / timed
    return training + math.ceil(validations) * timer.validation()


def forecasts(request: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """One answer per run: the result of `preflight`, or `error` with a message."""
    for args in request["runs"]:
        try:
            yield preflight(args, measure=request["measure"], at_once=request["at_once"])
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
        for answer in forecasts(request):
            file.write(json.dumps(answer) + "\n")
            file.flush()


if __name__ == "__main__":
    main()
