"""Checks the runs of a benchmark before training, in one process for all runs.

`main` reads a request from standard input and writes one line of JSON per run into the file that
the request names. A benchmark starts a process for it (`ssseg.cli.look_ahead`), because it must not
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
BUDGET = 20.0
"""Seconds in which the steps of all runs are timed; each kind of run gets an equal share."""
VALIDATED = 2
"""Images from which the time of a validation is estimated."""


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


def preflight(
    args: Sequence[str], *, measure: bool = False, at_once: int = 0, within: float = BUDGET
) -> dict[str, Any]:
    """Check a run before training.

    Args:
        args: `fit` and its options.
        measure: Time a few steps on this machine to estimate the duration.
        at_once: Number of such runs that share the memory of this machine; 0: they run on another.
        within: Seconds after which no further step is timed.

    Returns:
        `config` (the full configuration with defaults), its `config_hash`, the `split_hash`,
        `parameters` (number of parameters of the student), `memory` in bytes (the larger one of
        step and validation, None if unknown), `seconds` (duration of the training without its
        start, None if not measured), `between` (the shortest and the longest duration, from the
        fastest and the slowest of like steps), `measuring` (seconds that this took) and `data`
        (`name` of the data set, images of `val` and `unlabeled` ones; None if these play no part).

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
    seconds = between = None
    started = time.monotonic()
    if measure:
        timer = StepTimer(cli.trainer, module, data)
        every = config["trainer"]["val_check_interval"]
        seconds, *between = _seconds(timer, every, started + within)
    return {
        "config": config,
        "config_hash": config_hash(config),
        "split_hash": data.split_hash,
        "parameters": sum(p.numel() for p in module.method.student.parameters()),
        "memory": None if memory is None else max(memory),
        "seconds": seconds,
        "between": between,
        "measuring": time.monotonic() - started,
        "data": {
            "name": data.source.name,
            "val": len(data.source.records("val")),
            "unlabeled": len(data.unlabeled) if module.num_views else None,
        },
    }


def _seconds(timer: StepTimer, every: Any, until: float) -> list[float]:
    """Estimated, shortest and longest seconds of a run: steps and validations, without its start.

    Args:
        timer: Measures steps and validations.
        every: Batches between validations, or a time.
        until: The time after which no further step is timed.
    """
    steps, batches = timer.steps, timer.batches()
    all_batches = steps * timer.batches_per_step
    times: list[float] = []
    fastest, slowest = [], []
    for share in LOOKS:
        index = round(share * (steps - 1))
        like = [timer.step(batches, index)]
        if time.monotonic() < until:
            # the first step of all is a warm-up
            like = [*(like if times else []), timer.step(batches, index)]
        times.append(like[-1])
        fastest.append(min(like))
        slowest.append(max(like))
        if times[-1] > LONG or time.monotonic() > until:
            break
    once = timer.validation(VALIDATED)
    timed = seconds_of(every)
    found = []
    for step in (mean(times), mean(fastest), mean(slowest)):
        training = step * all_batches
        validations = all_batches / every if timed is None else training / timed
        found.append(training + math.ceil(validations) * once)
    return found


def forecasts(request: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """One answer per run: the result of `preflight`, or `error` with a message.

    Steps are timed within `BUDGET`; what does not fit into it is not measured.
    """
    runs, left = request["runs"], BUDGET
    for place, args in enumerate(runs):
        within = left / (len(runs) - place)
        measure = request["measure"] and within > 0
        try:
            answer = preflight(args, measure=measure, at_once=request["at_once"], within=within)
            left -= answer["measuring"]
            yield answer
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
