"""`ssseg debug-nan FOLDER`: repeats the end of a run and finds the first NaN or infinite value.

A run is a function of its options and seed, so the steps after its newest checkpoint can be
repeated. The output of every layer, every loss term and every gradient is checked.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pytorch_lightning import Trainer

from ssseg.cli.lightning_cli import TracelessCLI, training_environment
from ssseg.errors import UserError
from ssseg.runs.checkpoint import each_read_once, read_checkpoint
from ssseg.runs.command import command_of, without
from ssseg.training.callbacks.nan_tracer import NanTracer, NonFiniteFound
from ssseg.training.resume import newest_checkpoint


class NanTracerCLI(TracelessCLI):
    """Trains with checks of all values and writes no files."""

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """A trainer with the checks, without validation."""
        return super().instantiate_trainer(callbacks=[NanTracer()], limit_val_batches=0, **kwargs)


class NanReport(NamedTuple):
    """Where a run stopped being finite numbers."""

    started_at: int
    """Optimiser steps of the checkpoint from which the run was repeated; 0 where it has none."""
    step: int | None
    """The step with the first value that is not finite; None where the run reached its end."""
    lines: Sequence[str] = ()
    """Sentences that name the image, layer, loss or gradient, the first in the step first."""


def debug_nan(folder: Path) -> NanReport:
    """Repeat a run from its newest checkpoint until a value is not finite.

    Args:
        folder: Folder of an unfinished run.

    Raises:
        UserError: For a folder without an unfinished run.
    """
    args = command_of(folder)
    if args is None:
        raise UserError(f"{folder} holds no unfinished run; give one that stopped at a NaN")
    step = 0
    try:
        with training_environment(), each_read_once():
            checkpoint = newest_checkpoint(folder)
            if checkpoint is not None:
                step = read_checkpoint(checkpoint)["global_step"]
            cli = NanTracerCLI("fit", without(without(args, "--out"), "--ckpt_path"))
            if checkpoint is None:
                cli.take_weights()
            path = None if checkpoint is None else str(checkpoint)
            cli.trainer.fit(cli.model, datamodule=cli.datamodule, ckpt_path=path)
    except NonFiniteFound as found:
        return NanReport(step, found.step, found.lines)
    return NanReport(step, None)


def debug_nan_verb(args: Sequence[str]) -> int:
    """Run `ssseg debug-nan FOLDER` and print the result."""
    if len(args) != 1 or args[0].startswith("-"):
        print("usage: ssseg debug-nan FOLDER\n\nFOLDER: the folder of a run that stopped at a NaN.")
        return 0 if set(args) & {"-h", "--help"} else 2
    found = debug_nan(Path(args[0]))
    if found.step is None:
        begin = f"no NaN found: from step {found.started_at} to the end"
        print(f"{begin} all losses and gradients were finite")
        return 0
    print(f"step {found.step}, repeated from step {found.started_at}:")
    for line in found.lines:
        print(f"  {line}")
    return 0
