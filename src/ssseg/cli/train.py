"""`ssseg fit`, `ssseg validate` and `ssseg test`."""

import json
import signal
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from pytorch_lightning import Callback
from pytorch_lightning.utilities.exceptions import SIGTERMException

from ssseg.cli.lightning_cli import TrainingCLI, training_environment
from ssseg.cli.start_up import keep_threads, threads_line
from ssseg.errors import UserError
from ssseg.runs.checkpoint import each_read_once, read_checkpoint
from ssseg.runs.command import pairs, with_home, without
from ssseg.runs.command import typed as typed_options
from ssseg.runs.lock import FolderLock
from ssseg.runs.run import SPLIT
from ssseg.training.resume import asked_folder, continued, leads


def run(args: Sequence[str], values: Mapping[str, Any] | None = None) -> TrainingCLI:
    """Run `fit`, `validate` or `test`.

    Args:
        args: The verb and its options, as they are typed.
        values: The same options of `fit` as plain values by name; they are used as they are.

    Returns:
        The command line object, with its trainer, model and datamodule.

    Raises:
        UserError: For options that cannot work.
    """
    verb, *rest = with_home(args)
    with ExitStack() as held, each_read_once():
        folder = asked_folder(rest)
        if verb == "fit" and folder is not None and leads():
            held.callback(FolderLock(folder).release)
        try:
            return _fit(rest, held, values) if verb == "fit" else evaluate(verb, rest)
        except SIGTERMException as told:
            # the usual exit code after SIGTERM, so that the caller knows that the run is unfinished
            raise SystemExit(128 + signal.SIGTERM) from told


def _fit(rest: list[str], held: ExitStack, values: Mapping[str, Any] | None) -> TrainingCLI:
    rest, resumed, beside = continued(rest)
    typed = ["fit", *rest]
    if resumed is None:
        _readable(rest)
    else:
        keep_threads(read_checkpoint(resumed))
        rest = [*rest, f"--ckpt_path={resumed}"]
        values = None if values is None else {**values, "ckpt_path": str(resumed)}
    args = rest if values is None else values
    with training_environment():
        cli = TrainingCLI("fit", args, typed=typed, resumed=resumed, beside=beside, held=held)
        cli.prepare()
        if cli.trainer.world_size == 1:  # Lightning divides the CPUs among several devices
            cli.model.notes.append(f"threads    {threads_line()}")
        cli.trainer.fit(cli.model, datamodule=cli.datamodule, **_checkpoint(cli))
    return cli


def evaluate(verb: str, rest: list[str], callbacks: Sequence[Callback] = ()) -> TrainingCLI:
    """Run `validate` or `test`.

    Args:
        verb: One of the two.
        rest: Its options, as they are typed.
        callbacks: Further callbacks of the trainer.

    Raises:
        UserError: For options that cannot work.
    """
    typed = [verb, *rest]
    if verb == "test" and ("--split", ["val"]) in pairs(rest):
        verb, rest = "validate", without(rest, "--split")
    rest = _for_evaluation(_with_configuration(rest))
    _readable(rest)
    with training_environment():
        cli = TrainingCLI(verb, rest, typed=typed)
        trainer: Any = cli.trainer
        trainer.callbacks += callbacks
        score = getattr(trainer, verb)
        # not verbose, because ssseg prints its own table
        score(cli.model, datamodule=cli.datamodule, verbose=False, **_checkpoint(cli))
    return cli


def evaluate_file(
    verb: str,
    checkpoint: str | Path,
    out: str | Path | None,
    page: bool,
    eval_options: Mapping[str, Any] | None,
    data_options: Mapping[str, Any],
) -> dict[str, float]:
    """The scores of a checkpoint, as `ssseg.validate` and `ssseg.test` return them."""
    given = {"ckpt_path": checkpoint, "page": None if page else False, "out": out}
    args = typed_options({name: value for name, value in given.items() if value is not None})
    args += [*typed_options(eval_options or {}, "eval"), *typed_options(data_options, "data")]
    done = run([verb, *args])
    return {key: float(value) for key, value in done.trainer.callback_metrics.items()}


def _readable(rest: list[str]) -> None:
    """Raise `UserError` for an invalid checkpoint, before other objects are made."""
    for flag, values in pairs(rest):
        if flag == "--ckpt_path" and values:
            read_checkpoint(values[0])


def _checkpoint(cli: TrainingCLI) -> dict[str, Any]:
    """Arguments of the trainer; `weights_only` only if given, older Lightning does not have it."""
    told = {"ckpt_path": cli.config.ckpt_path}
    if cli.config.weights_only is not None:
        told["weights_only"] = cli.config.weights_only
    return told


def _with_configuration(rest: list[str]) -> list[str]:
    """Add the configuration in the checkpoint's run folder, unless the user gives one."""
    given = dict(pairs(rest))
    if "--config" in given or {"-c", "-h", "--help"} & set(rest):
        return rest
    if not given.get("--ckpt_path"):
        raise UserError("option --ckpt_path is missing; give a file in checkpoints/ of a run")
    checkpoint = given["--ckpt_path"][0]
    config = Path(checkpoint).parent.parent / "config.yaml"
    # images are normalised as in training, also if other images are evaluated
    info = read_checkpoint(checkpoint)["ssseg"]["data"]
    usual = [
        f"--data.{name}={json.dumps(list(info[name]))}"
        for name in ("mean", "std")
        if info is not None and f"--data.{name}" not in given
    ]
    kept = config.with_name(SPLIT)
    # images that were held out then are scored now, whatever was labeled since
    if kept.is_file() and not {"--data", "--data.images", "--data.split"} & set(given):
        usual.append(f"--data.split={kept}")
    return [*(["--config", str(config)] if config.is_file() else []), *rest, *usual]


def _for_evaluation(rest: list[str]) -> list[str]:
    """Set defaults of evaluation that override the configuration of a training run."""
    flags = {flag for flag, _ in pairs(rest)}
    if {"-h", "--help"} & set(rest):
        return rest
    usual = {
        "--out": "null",
        "--eval.boundary": "true",
        "--trainer.limit_val_batches": "null",
        "--network.weights": "random",  # the checkpoint has them all
    }
    return [*rest, *(f"{flag}={value}" for flag, value in usual.items() if flag not in flags)]
