"""Options of Lightning's Trainer: what each does here, and which values are refused.

A run is counted in optimiser steps, its batches have no end, and its folder keeps a log,
checkpoints and the scores of all validation images. Options of the Trainer that would break one of
these promises are refused before anything is written.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, NamedTuple

import torch
from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning import Callback, Trainer
from pytorch_lightning.accelerators import AcceleratorRegistry
from pytorch_lightning.callbacks import (
    BatchSizeFinder,
    EarlyStopping,
    GradientAccumulationScheduler,
    LearningRateFinder,
    ModelCheckpoint,
    ModelPruning,
    ProgressBar,
    StochasticWeightAveraging,
    WeightAveraging,
)

from ssseg.errors import UserError

STEPS = "but training is counted in steps here and its batches have no end; give trainer.max_steps"
PRECISIONS = ("32-true", "16-mixed", "bf16-mixed", "64-true")
ALIASES = {"32": "32-true", "16": "16-mixed", "bf16": "bf16-mixed", "64": "64-true"}
STRATEGIES = ("auto", "ddp", "ddp_fork", "ddp_notebook")
PROFILERS = ("simple", "advanced", "pytorch")
LOGGED = ("loss", "train/", "pseudo_", "seconds/", "lr-", "val/")
"""How names of what is logged begin."""
REFUSED_CALLBACKS: Mapping[type[Callback], str] = {
    ProgressBar: "ssseg shows a bar of its own (trainer.enable_progress_bar false hides it)",
    StochasticWeightAveraging: "it counts in epochs; an averaged copy of the weights is a teacher "
    "here, e.g. --method mean_teacher",
    WeightAveraging: "it would average a network that has a teacher already; give --method "
    "mean_teacher for an averaged copy",
    GradientAccumulationScheduler: "it counts in epochs; give trainer.accumulate_grad_batches",
    BatchSizeFinder: "it cannot change batches of two streams; `ssseg find-batch-size` finds the "
    "largest one",
    LearningRateFinder: "it would train before the run begins; give optim.lr",
    ModelPruning: "checkpoints would hold other weights than the network has",
}


class Rule(NamedTuple):
    """What happens with one option of the Trainer."""

    does: str
    """What values that are not refused do."""
    objection: Callable[[Any], str | None] = lambda value: None
    """Of a value, what follows `option trainer.NAME is VALUE, `; None where it works."""


def _only(*values: Any, because: str) -> Callable[[Any], str | None]:
    def objection(value: Any) -> str | None:
        # True == 1, which is another value
        fine = any(value == allowed and type(value) is type(allowed) for allowed in values)
        return None if fine else because

    return objection


def _at_least(least: float, unit: str = "") -> Callable[[Any], str | None]:
    def objection(value: Any) -> str | None:
        few = value is not None and value < least
        return f"expected at least {least}{unit}" if few else None

    return objection


def _one_of(known: Sequence[str]) -> Callable[[Any], str | None]:
    """Names are of this list; objects are taken as they are."""

    def objection(value: Any) -> str | None:
        unknown = isinstance(value, str) and value.lower() not in known
        return f"expected one of {', '.join(known)}" if unknown else None

    return objection


def _max_steps(value: Any) -> str | None:
    return None if value >= 1 else "expected a positive number"


def _devices(value: Any) -> str | None:
    return "expected at least 1" if value in (0, "0", [], "") else None


def _accelerator(value: Any) -> str | None:
    if not isinstance(value, str) or value == "auto":
        return None
    kinds = {
        name: AcceleratorRegistry[name]["accelerator"].is_available()
        for name in AcceleratorRegistry.available_accelerators()
    }
    kinds |= {"auto": True, "gpu": kinds["cuda"] or kinds["mps"]}
    if kinds.get(value):
        return None
    there = ", ".join(sorted(name for name, found in kinds.items() if found))
    why = "but PyTorch finds none on this machine; " if value in kinds else ""
    return f"{why}expected one of {there}"


def _strategy(value: Any) -> str | None:
    name = str(getattr(value, "class_path", value))
    if re.sub(r"_find_unused_parameters_(true|false)$", "", name) in STRATEGIES:
        return None
    if name.endswith("DDPStrategy"):
        return None
    return (
        "but devices train by DDP here, each with the whole network and its teacher; expected "
        f"one of {', '.join(STRATEGIES)}"
    )


def precision_of(value: Any) -> str:
    """The one name of a precision that has several."""
    return "32-true" if value is None else ALIASES.get(str(value), str(value))


def _precision(value: Any) -> str | None:
    if precision_of(value) in PRECISIONS:
        return None
    return (
        "but weights are kept in 32 or 64 bits here, or the teacher's average would be lost in "
        f"rounding; expected one of {', '.join(PRECISIONS)}"
    )


def seconds_of(value: Any) -> float | None:
    """A length of time as the Trainer takes it, in seconds; None for what is none.

    Args:
        value: `DD:HH:MM:SS`, a timedelta, or a dictionary of its arguments.
    """
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, Mapping):
        try:
            return timedelta(**value).total_seconds()
        except TypeError:
            return None
    if not isinstance(value, str) or not re.fullmatch(r"\d+:\d+:\d+:\d+", value):
        return None
    days, hours, minutes, seconds = map(int, value.split(":"))
    return timedelta(days, seconds, hours=hours, minutes=minutes).total_seconds()


def _time(value: Any) -> str | None:
    if value is None or (seconds_of(value) or 0) > 0:
        return None
    return "expected a time as DD:HH:MM:SS, e.g. 00:01:30:00 for one hour and a half"


def _interval(value: Any) -> str | None:
    if value is None or isinstance(value, int):
        return _at_least(1, " batch")(value)
    if isinstance(value, float):
        return (
            "a share of an epoch, but training has no epochs here; expected a whole number of "
            "batches, or a time as DD:HH:MM:SS"
        )
    return _time(value)


def _logger(value: Any) -> str | None:
    if isinstance(value, bool):
        return (
            "but every run keeps a log in its metrics.csv; expected a logger's class, or give "
            "--logger wandb or --logger tensorboard"
        )
    return None


def _plugins(value: Any) -> str | None:
    if any(isinstance(one, str) for one in several(value)):
        return "expected the class of a Precision, CheckpointIO or ClusterEnvironment plugin"
    return None


_whole = "but scores are of all images, each counted once"
RULES: dict[str, Rule] = {
    "accelerator": Rule("the kind of device; `auto` takes a GPU where there is one", _accelerator),
    "strategy": Rule("how several devices train: DDP", _strategy),
    "devices": Rule("how many devices, or which", _devices),
    "num_nodes": Rule("machines that train together", _at_least(1)),
    "precision": Rule("mixed precision, float32 or float64", _precision),
    "logger": Rule("a logger beside metrics.csv", _logger),
    "callbacks": Rule("callbacks beside those of every run"),
    "fast_dev_run": Rule(
        "off",
        _only(
            *(False, 0, None),
            because="but a run without log and checkpoints leaves nothing to look at; give "
            "trainer.max_steps 2 for a short run",
        ),
    ),
    "max_epochs": Rule("no limit", _only(None, -1, because=STEPS)),
    "min_epochs": Rule("no limit", _only(None, 0, because=STEPS.replace("max", "min"))),
    "max_steps": Rule("length of the training in optimiser steps", _max_steps),
    "min_steps": Rule("steps before which no callback ends the training", _at_least(0)),
    "max_time": Rule("ends the training after a time; the last step is validated", _time),
    "limit_train_batches": Rule(
        "all",
        _only(
            *(None, 1.0),
            because=f"{STEPS} for a short run, or data.labeled for fewer images",
        ),
    ),
    "limit_val_batches": Rule(
        "all validation images, or none with 0",
        _only(
            *(None, 1.0, 0, 0.0),
            because=f"{_whole}; validate less often by trainer.val_check_interval, or give 0 for "
            "no validation at all",
        ),
    ),
    "limit_test_batches": Rule("all", _only(None, 1.0, because=f"{_whole}; leave the option out")),
    "limit_predict_batches": Rule(
        "all",
        _only(
            None, 1.0, because="but `ssseg predict` takes a list of images; leave the option out"
        ),
    ),
    "overfit_batches": Rule(
        "off",
        _only(
            *(0, 0.0, None),
            because="but batches are drawn anew in every step; give data.labeled for fewer images",
        ),
    ),
    "val_check_interval": Rule(
        "batches between validations, or a time; left out: by what they cost", _interval
    ),
    "check_val_every_n_epoch": Rule(
        "no epochs",
        _only(
            None,
            because="but training has no epochs here; give trainer.val_check_interval, in batches",
        ),
    ),
    "num_sanity_val_steps": Rule(
        "validation batches that are tried before the training; they are not scored", _at_least(-1)
    ),
    "log_every_n_steps": Rule("optimiser steps between two rows of the log", _at_least(1)),
    "enable_checkpointing": Rule(
        "on",
        _only(
            *(None, True),
            because="but a run without checkpoints cannot go on or be scored; leave the option out",
        ),
    ),
    "enable_progress_bar": Rule("false hides ssseg's own bar"),
    "enable_model_summary": Rule("prints a table of the module's parts"),
    "accumulate_grad_batches": Rule("batches per optimiser step", _at_least(1)),
    "gradient_clip_val": Rule("clips gradients", _at_least(0)),
    "gradient_clip_algorithm": Rule("`norm` or `value`", _one_of(("norm", "value"))),
    "deterministic": Rule("only operations that always give the same result; `warn` only warns"),
    "benchmark": Rule("lets cuDNN try its algorithms"),
    "inference_mode": Rule("how `validate` and `test` do without gradients"),
    "use_distributed_sampler": Rule(
        "off",
        _only(
            *(False, None),
            because="but batches are divided among devices already; leave the option out",
        ),
    ),
    "profiler": Rule("prints where the time went when the run is finished", _one_of(PROFILERS)),
    "detect_anomaly": Rule("finds the operation that made a NaN in the backward pass"),
    "barebones": Rule(
        "off",
        _only(
            *(False, None),
            because="but a run keeps log and checkpoints; give trainer.enable_progress_bar false",
        ),
    ),
    "plugins": Rule("plugins of Lightning, by class", _plugins),
    "sync_batchnorm": Rule(
        "off: `--compute.sync_batchnorm` decides",
        _only(
            *(False, None),
            because="but that is decided by compute.sync_batchnorm; give that instead",
        ),
    ),
    "reload_dataloaders_every_n_epochs": Rule(
        "off", _only(0, None, because="but training has no epochs here; leave the option out")
    ),
    "default_root_dir": Rule("where SLURM's checkpoint is put; left out: the run's folder"),
    "enable_autolog_hparams": Rule("hyperparameters for the loggers"),
    "model_registry": Rule(
        "off",
        _only(None, because="but checkpoints stay in the run's folder; upload them from there"),
    ),
}
"""What happens with every option of the Trainer."""


def refuse(options: Mapping[str, Any]) -> None:
    """Find options of the Trainer that break what a run promises.

    Args:
        options: As they were parsed; objects are still descriptions with a `class_path`.

    Raises:
        UserError: For the first one.
    """
    for name, value in options.items():
        objection = RULES[name].objection(value) if name in RULES else None
        if objection is not None:
            raise UserError(f"option trainer.{name} is {_shown(value)}, {objection}")
    least, most = options.get("min_steps"), options["max_steps"]
    if least is not None and least > most:
        raise UserError(
            f"option trainer.min_steps is {least}, more than trainer.max_steps ({most}); lower it"
        )
    clip = "gradient_clip_algorithm"
    if options.get(clip) is not None and options.get("gradient_clip_val") is None:
        raise UserError(
            f"option trainer.{clip} is {options[clip]!r}, but nothing is clipped; give "
            "trainer.gradient_clip_val as well"
        )
    together = options["accumulate_grad_batches"]
    interval = options.get("val_check_interval")
    if isinstance(interval, int) and interval % together:
        raise UserError(
            f"option trainer.val_check_interval is {interval} batches, in the middle of an "
            f"optimiser step of {together} (trainer.accumulate_grad_batches); give a "
            f"multiple of {together}"
        )


def _shown(value: Any) -> str:
    """A value as a person types it."""
    if isinstance(value, str):
        return repr(value)
    path = getattr(value, "class_path", None)
    return str(path or (json.dumps(value) if _plain(value) else value))


def _plain(value: Any) -> bool:
    return value is None or isinstance(value, bool | int | float | list | dict)


def several(value: Any) -> list[Any]:
    """What may be given as one, as a list, or not at all."""
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]


def refuse_callbacks(
    callbacks: Sequence[Callback], networks: Sequence[str], validates: bool
) -> None:
    """Find callbacks that cannot work in a run.

    Args:
        callbacks: Those that were asked for.
        networks: Names of the networks that are scored.
        validates: Whether there are scores at all.

    Raises:
        UserError: For the first one.
    """
    for callback in callbacks:
        name = type(callback).__name__
        for kind, why in REFUSED_CALLBACKS.items():
            if isinstance(callback, kind):
                raise UserError(f"option trainer.callbacks: {name} cannot be used here: {why}")
        needed = getattr(callback, "strict", True) and isinstance(
            callback, EarlyStopping | ModelCheckpoint
        )
        monitor = getattr(callback, "monitor", None) if needed else None
        if monitor is not None:
            _known_monitor(name, monitor, networks, validates)


def _known_monitor(callback: str, monitor: str, networks: Sequence[str], validates: bool) -> None:
    scores = ["val/miou", *(f"val/miou_{network}" for network in networks)]
    asked = monitor.startswith("val/")
    if asked and not validates:
        raise UserError(
            f"option trainer.callbacks: {callback} watches {monitor!r}, but this run does not "
            "validate; give one of the losses, e.g. loss"
        )
    if (asked and monitor not in scores) or not monitor.startswith(LOGGED):
        known = scores if validates else []
        raise UserError(
            f"option trainer.callbacks: {callback} watches {monitor!r}, which is not logged; "
            f"expected one of {', '.join([*known, 'loss'])}, or another column of metrics.csv"
        )


@contextmanager
def in_one_sentence() -> Iterator[None]:
    """What Lightning itself refuses becomes a sentence.

    Raises:
        UserError: For any complaint of Lightning about options of its Trainer.
    """
    try:
        yield
    except MisconfigurationException as error:
        raise UserError(f"the trainer cannot do this: {_line(error)}") from error
    except RuntimeError as error:
        if "does not have a deterministic implementation" in str(error):
            operation = str(error).split()[0]
            raise UserError(
                f"option trainer.deterministic is true, but {operation} has no deterministic form "
                "on this device; give trainer.deterministic warn"
            ) from error
        if "Early stopping conditioned on metric" in str(error):
            raise UserError(f"option trainer.callbacks: {_line(error)}") from error
        raise


def make_trainer(make: Callable[[], Trainer], precision: Any) -> Trainer:
    """A trainer, where Lightning agrees to its options.

    Args:
        make: Makes it.
        precision: That was asked for.

    Raises:
        UserError: Where Lightning does not agree, or would do something else in silence.
    """
    try:
        trainer = make()
    except (MisconfigurationException, ValueError, TypeError, RuntimeError, ImportError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"the trainer cannot be made of these options: {_line(error)}") from error
    device: torch.device = trainer.strategy.root_device
    if precision_of(precision) == "16-mixed" and device.type == "cpu":
        raise UserError(
            "option trainer.precision is 16-mixed, which a CPU cannot do; give bf16-mixed"
        )
    return trainer


def _line(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".")
