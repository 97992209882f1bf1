"""What runs will be like, found out before any of them trains: one process for all of them.

`python -m ssseg.rehearsal` reads a request from standard input and writes one JSON object per run,
each on a line of its own, into the file that it names. A benchmark, which must not import torch,
asks it.
"""

import json
import math
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from statistics import mean
from typing import Any

import torch
import yaml
from pytorch_lightning import Trainer

from ssseg.arguments import without
from ssseg.data.module import SegmentationData
from ssseg.doctor.memory import memory_of_step
from ssseg.errors import UserError
from ssseg.models.ema import EMA
from ssseg.module import SegmentationModule
from ssseg.optim import create_optimizer
from ssseg.options import CLI, command_line
from ssseg.run import config_hash
from ssseg.types import Batch, Step

LOOKS = (0.0, 0.35, 0.65, 1.0)
"""Places in a run whose steps are timed: a method may do other things early than late."""
LONG = 20.0
"""Seconds after which a step is not timed again, nor another one of the same run."""


class Rehearsal(CLI):
    """Makes everything that training needs, looks at all data, and leaves no trace."""

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """A trainer without loggers, folder and progress bar."""
        return super(CLI, self).instantiate_trainer(
            logger=False, enable_checkpointing=False, enable_progress_bar=False, **kwargs
        )

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
    memory = _memory(data, module)
    device = cli.trainer.strategy.root_device
    if at_once and memory is not None:
        _fits(memory, at_once, device)
    seconds = None
    if measure:
        steps = int(cli.trainer.max_steps)
        seconds = _seconds(data, module.to(device), steps, config["trainer"]["val_check_interval"])
    return {
        "config": config,
        "config_hash": config_hash(config),
        "split_hash": data.split_hash,
        "parameters": sum(p.numel() for p in module.method.student.parameters()),
        "memory": memory,
        "seconds": seconds,
    }


def _memory(data: SegmentationData, module: SegmentationModule) -> int | None:
    """Bytes that a step holds at least, see `ssseg.doctor.memory`."""
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


def machine_memory() -> int:
    """Bytes that processes may use: of the machine, or of the container that we are in."""
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    for name in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        limit = Path(name)
        if limit.is_file() and (text := limit.read_text().strip()).isdigit():
            total = min(total, int(text))
    return total


def _seconds(
    data: SegmentationData, module: SegmentationModule, steps: int, every: float | int
) -> float:
    """Of a whole run: its steps and its validations, not its start."""
    data.num_views = module.num_views
    batches = iter(data.train_dataloader())
    optimizer, _ = create_optimizer(module.method, module.optim, steps)
    module.train()
    times = []
    for share in LOOKS:
        step = Step(round(share * (steps - 1)), steps, torch.Generator(module.device))
        _timed_step(module, optimizer, batches, step)  # what is slow only once
        times.append(_timed_step(module, optimizer, batches, step))
        if times[-1] > LONG:
            break
    interval = every if isinstance(every, int) else max(1, round(every * steps))
    checks = math.ceil(steps / interval)
    return mean(times) * steps + checks * _validation(data, module)


def _timed_step(
    module: SegmentationModule,
    optimizer: torch.optim.Optimizer,
    batches: Iterator[Batch],
    step: Step,
) -> float:
    started = _now(module.device)
    batch = module.transfer_batch_to_device(next(batches), module.device, 0)
    losses = module.method.losses(batch._replace(truth=None), step).losses
    optimizer.zero_grad()
    torch.autograd.backward(torch.stack(list(losses.values())).sum())
    optimizer.step()
    module.method.after_step(step)
    return _now(module.device) - started


def _validation(data: SegmentationData, module: SegmentationModule) -> float:
    """Seconds of one validation, from its first batch."""
    records = data.source.records("val")
    if not records:
        return 0.0
    images = data.eval_images(records)
    count = min(data.val_batch_size, len(records))
    started = _now(module.device)
    module.eval()
    infer = module.inference.within(data.crop_size)
    with torch.inference_mode():
        for place in range(count):
            image = images[place].image[None].to(module.device)
            for network in module.method.networks.values():
                infer(network, image)
    return (_now(module.device) - started) * len(records) / count


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


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
