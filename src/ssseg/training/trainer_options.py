"""Options of Lightning's Trainer: what each does here, and which values are refused.

A run is counted in optimiser steps, its batches have no end, and its folder keeps a log,
checkpoints and the scores of all validation images. Options of the Trainer that would break one of
these promises are refused before anything is written.
"""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from ssseg.errors import UserError
from ssseg.training.option_values import (
    PROFILERS,
    Objection,
    at_least,
    low_precision,
    missing_accelerator,
    named_plugins,
    no_devices,
    no_interval,
    no_logger,
    no_time,
    not_ddp,
    not_positive,
    one_of,
    only,
)

STEPS = "but training is counted in steps here and its batches have no end; give trainer.max_steps"


class Rule(NamedTuple):
    """What happens with one option of the Trainer."""

    does: str
    """What values that are not refused do."""
    objection: Objection = lambda value: None
    """Of a value, what follows `option trainer.NAME is VALUE, `; None where it works."""


_whole = "but scores are of all images, each counted once"
RULES: dict[str, Rule] = {
    "accelerator": Rule(
        "the kind of device; `auto` takes a GPU where there is one", missing_accelerator
    ),
    "strategy": Rule("how several devices train: DDP", not_ddp),
    "devices": Rule("how many devices, or which", no_devices),
    "num_nodes": Rule("machines that train together", at_least(1)),
    "precision": Rule("mixed precision, float32 or float64", low_precision),
    "logger": Rule("a logger beside metrics.csv", no_logger),
    "callbacks": Rule("callbacks beside those of every run"),
    "fast_dev_run": Rule(
        "off",
        only(
            *(False, 0, None),
            because="but a run without log and checkpoints leaves nothing to look at; give "
            "trainer.max_steps 2 for a short run",
        ),
    ),
    "max_epochs": Rule("no limit", only(None, -1, because=STEPS)),
    "min_epochs": Rule("no limit", only(None, 0, because=STEPS.replace("max", "min"))),
    "max_steps": Rule("length of the training in optimiser steps", not_positive),
    "min_steps": Rule("steps before which no callback ends the training", at_least(0)),
    "max_time": Rule("ends the training after a time; the last step is validated", no_time),
    "limit_train_batches": Rule(
        "all",
        only(
            *(None, 1.0),
            because=f"{STEPS} for a short run, or data.labeled for fewer images",
        ),
    ),
    "limit_val_batches": Rule(
        "all validation images, or none with 0",
        only(
            *(None, 1.0, 0, 0.0),
            because=f"{_whole}; validate less often by trainer.val_check_interval, or give 0 for "
            "no validation at all",
        ),
    ),
    "limit_test_batches": Rule("all", only(None, 1.0, because=f"{_whole}; leave the option out")),
    "limit_predict_batches": Rule(
        "all",
        only(None, 1.0, because="but `ssseg predict` takes a list of images; leave the option out"),
    ),
    "overfit_batches": Rule(
        "off",
        only(
            *(0, 0.0, None),
            because="but batches are drawn anew in every step; give data.labeled for fewer images",
        ),
    ),
    "val_check_interval": Rule(
        "batches between validations, or a time; left out: by what they cost", no_interval
    ),
    "check_val_every_n_epoch": Rule(
        "no epochs",
        only(
            None,
            because="but training has no epochs here; give trainer.val_check_interval, in batches",
        ),
    ),
    "num_sanity_val_steps": Rule(
        "validation batches that are tried before the training; they are not scored", at_least(-1)
    ),
    "log_every_n_steps": Rule("optimiser steps between two rows of the log", at_least(1)),
    "enable_checkpointing": Rule(
        "on",
        only(
            *(None, True),
            because="but a run without checkpoints cannot go on or be scored; leave the option out",
        ),
    ),
    "enable_progress_bar": Rule("false hides ssseg's own bar"),
    "enable_model_summary": Rule("prints a table of the module's parts"),
    "accumulate_grad_batches": Rule("batches per optimiser step", at_least(1)),
    "gradient_clip_val": Rule("clips gradients", at_least(0)),
    "gradient_clip_algorithm": Rule("`norm` or `value`", one_of(("norm", "value"))),
    "deterministic": Rule("only operations that always give the same result; `warn` only warns"),
    "benchmark": Rule("lets cuDNN try its algorithms"),
    "inference_mode": Rule("how `validate` and `test` do without gradients"),
    "use_distributed_sampler": Rule(
        "off",
        only(
            *(False, None),
            because="but batches are divided among devices already; leave the option out",
        ),
    ),
    "profiler": Rule("prints where the time went when the run is finished", one_of(PROFILERS)),
    "detect_anomaly": Rule("finds the operation that made a NaN in the backward pass"),
    "barebones": Rule(
        "off",
        only(
            *(False, None),
            because="but a run keeps log and checkpoints; give trainer.enable_progress_bar false",
        ),
    ),
    "plugins": Rule("plugins of Lightning, by class", named_plugins),
    "sync_batchnorm": Rule(
        "off: `--compute.sync_batchnorm` decides",
        only(
            *(False, None),
            because="but that is decided by compute.sync_batchnorm; give that instead",
        ),
    ),
    "reload_dataloaders_every_n_epochs": Rule(
        "off", only(0, None, because="but training has no epochs here; leave the option out")
    ),
    "default_root_dir": Rule("where SLURM's checkpoint is put; left out: the run's folder"),
    "enable_autolog_hparams": Rule("hyperparameters for the loggers"),
    "model_registry": Rule(
        "off",
        only(None, because="but checkpoints stay in the run's folder; upload them from there"),
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
