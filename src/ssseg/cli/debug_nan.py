"""`ssseg debug-nan FOLDER`: repeats the end of a run and finds the first NaN or infinite value.

A run is a function of its options and seed, so the steps after its newest checkpoint can be
repeated. The output of every layer, every loss term and every gradient is checked.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

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


def debug_nan(folder: Path) -> tuple[int, NonFiniteFound | None]:
    """Repeat a run from its newest checkpoint until a value is not finite.

    Args:
        folder: Folder of an unfinished run.

    Returns:
        The step of the checkpoint, and what was found; None if the run reached its end.

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
        return step, found
    return step, None


def debug_nan_verb(args: Sequence[str]) -> int:
    """Run `ssseg debug-nan FOLDER` and print the result."""
    if len(args) != 1 or args[0].startswith("-"):
        print("usage: ssseg debug-nan FOLDER\n\nFOLDER: the folder of a run that stopped at a NaN.")
        return 0 if set(args) & {"-h", "--help"} else 2
    begun, found = debug_nan(Path(args[0]))
    if found is None:
        print(f"no NaN found: from step {begun} to the end all losses and gradients were finite")
        return 0
    print(f"step {found.step}, repeated from step {begun}:")
    for line in found.lines:
        print(f"  {line}")
    return 0
