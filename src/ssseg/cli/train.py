"""`ssseg fit`, `validate` and `test`: from what was typed to a finished command."""

import json
import os
import signal
from collections.abc import Sequence
from pathlib import Path

from pytorch_lightning.utilities.exceptions import SIGTERMException

from ssseg.cli.lightning_cli import CHOSEN, CLI, command_line
from ssseg.errors import UserError
from ssseg.runs.checkpoint import read_checkpoint
from ssseg.runs.command import pairs, with_home, without
from ssseg.runs.lock import FolderLock
from ssseg.training.resume import asked_folder, continued, leads


def run(args: Sequence[str]) -> CLI:
    """Carry out `fit`, `validate` or `test` with options as they are typed.

    Args:
        args: The verb and its options.

    Returns:
        The command line object, with its trainer, model and datamodule.

    Raises:
        UserError: For anything in the options that cannot work.
    """
    verb, *rest = with_home(args)
    CLI.resumed, CLI.lock, CLI.beside = None, None, False
    folder = asked_folder(rest)
    if verb == "fit" and folder is not None and leads():
        CLI.lock = FolderLock(folder)
    try:
        return _carry_out(verb, rest)
    finally:
        if CLI.lock is not None:
            CLI.lock.release()
            os.environ.pop(CHOSEN, None)
        # whoever parses a command line next in this process does not go on with this run
        CLI.resumed, CLI.lock, CLI.beside = None, None, False


def _carry_out(verb: str, rest: list[str]) -> CLI:
    if verb == "fit":
        rest, CLI.resumed, CLI.beside = continued(rest)
    CLI.given = [verb, *rest]
    if CLI.resumed is not None:
        rest.append(f"--ckpt_path={CLI.resumed}")
    if verb == "test" and ("--split", ["val"]) in pairs(rest):
        verb, rest = "validate", without(rest, "--split")
    if verb != "fit":
        rest = _for_evaluation(_with_configuration(rest))
    for flag, values in pairs(rest):
        if flag == "--ckpt_path" and values and values != [str(CLI.resumed)]:  # that has been read
            read_checkpoint(values[0])
    try:
        return command_line(CLI, verb, rest)
    except SIGTERMException as told:
        # as of any program that a SIGTERM ended: who started it sees that it is not finished
        raise SystemExit(128 + signal.SIGTERM) from told


def _with_configuration(rest: list[str]) -> list[str]:
    """Evaluate with the configuration that a checkpoint's run folder holds, unless one is given."""
    given = dict(pairs(rest))
    if "--config" in given or {"-c", "-h", "--help"} & set(rest):
        return rest
    if not given.get("--ckpt_path"):
        raise UserError("option --ckpt_path is missing; give a file from a run's checkpoints/")
    checkpoint = given["--ckpt_path"][0]
    config = Path(checkpoint).parent.parent / "config.yaml"
    # images are normalised as in training, whatever other images would suggest
    info = read_checkpoint(checkpoint)["ssseg"]["data"]
    usual = [
        f"--data.{name}={json.dumps(list(info[name]))}"
        for name in ("mean", "std")
        if info is not None and f"--data.{name}" not in given
    ]
    return [*(["--config", str(config)] if config.is_file() else []), *rest, *usual]


def _for_evaluation(rest: list[str]) -> list[str]:
    """What a configuration of a training run does not decide: where the page goes, boundaries."""
    flags = {flag for flag, _ in pairs(rest)}
    if {"-h", "--help"} & set(rest):
        return rest
    usual = {"--out": "null", "--eval.boundary": "true", "--trainer.limit_val_batches": "null"}
    return [*rest, *(f"{flag}={value}" for flag, value in usual.items() if flag not in flags)]
