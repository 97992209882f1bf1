"""Resuming a run in its folder, as if it had never been interrupted, or for more steps."""

import json
import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from pytorch_lightning.utilities import rank_zero_only

from ssseg.errors import UserError
from ssseg.runs.checkpoint import read_checkpoint
from ssseg.runs.command import command_of, options_of, pairs, refuse_another, typed_name, without
from ssseg.runs.run import CHECKPOINTS, LAST, SUMMARY
from ssseg.serialization import flatten

FREE = (
    *("out", "config", "ckpt_path", "logger", "reference", "checkpoint_every"),
    *("data.num_workers", "data.cache", "data.val_batch_size", "data.root"),
    *("data.images", "data.masks"),
    *("compute.channels_last", "compute.checkpoint_activations", "compute.compile"),
    *("trainer.accelerator", "trainer.strategy", "trainer.devices", "trainer.num_nodes"),
    *("trainer.precision", "trainer.plugins", "trainer.deterministic", "trainer.benchmark"),
    *("trainer.max_steps", "trainer.min_steps", "trainer.max_time", "trainer.callbacks"),
    *("trainer.val_check_interval", "trainer.num_sanity_val_steps", "trainer.log_every_n_steps"),
    *("trainer.logger", "trainer.enable_progress_bar", "trainer.enable_model_summary"),
    *("trainer.profiler", "trainer.detect_anomaly", "trainer.default_root_dir"),
)
"""Options that may change when a run is resumed: where, how fast and how long it is computed, and
what is printed. Data may lie in another folder, if they are the same."""


def leads() -> bool:
    """Whether this is the first of the processes of a run, before any of them have met."""
    node = os.environ.get("NODE_RANK") or os.environ.get("GROUP_RANK") or "0"
    return int(getattr(rank_zero_only, "rank", 0)) == 0 and int(node) == 0


def asked_folder(args: list[str]) -> Path | None:
    """The folder that `--resume` or `--out` names; None where neither is given."""
    given = dict(pairs(args))
    for flag in ("--resume", "--out"):
        if given.get(flag):
            return Path(" ".join(given[flag]))
    return None


class Continued(NamedTuple):
    """The options of `fit`, once it is known whether a run is resumed."""

    args: list[str]
    checkpoint: Path | None
    """That the run goes on from."""
    beside: bool = False
    """Whether other options are typed beside `--resume`."""


def continued(args: list[str]) -> Continued:
    """The options of `fit`, and the checkpoint of a run of theirs that goes on.

    `--resume FOLDER` stands for the options of the run in that folder; what is typed beside it
    takes the place of what was typed then. A run that is finished goes on where it is given more
    steps, and one that was ended early in any case. `--out FOLDER` finds an unfinished run of the
    same options by itself; `--ckpt_path last` says that it may be there.

    Raises:
        UserError: For a folder without a run that can go on, with one of other options, or with
            checkpoints of which none can be read.
    """
    given, folder = dict(pairs(args)), asked_folder(args)
    if given.get("--ckpt_path") == ["last"]:
        if folder is None:
            raise UserError(
                "option ckpt_path is last, of no folder; give the run's as --out FOLDER, or a file"
            )
        args = without(args, "--ckpt_path")
        given = dict(pairs(args))
    if folder is None:
        return Continued(args, None)
    if "--resume" in given:
        return _resumed(folder, without(args, "--resume"))
    if "--ckpt_path" in given:
        return Continued(args, None)
    stored = command_of(folder)
    if stored is None:
        return Continued(args, None)
    refuse_another(folder, without(args, "--out"), without(stored, "--out"))
    return Continued(args, _checkpoint_of(folder))


def _resumed(folder: Path, typed: list[str]) -> Continued:
    stored = options_of(folder)
    if stored is None:
        raise UserError(f"option --resume: {folder} holds no unfinished run")
    for flag, values in pairs(typed):
        if flag in ("--out", "--ckpt_path", "--init"):
            raise UserError(
                f"option {flag} is given beside --resume, but the run goes on in {folder} from its "
                "own newest checkpoint; leave one of the two out"
            )
        before = dict(pairs(stored)).get(flag)
        if flag != "--config" and before not in (None, values) and not _may_change(flag[2:]):
            raise contradiction(folder, flag[2:], " ".join(before or ()), " ".join(values))
        if flag != "--config":
            stored = without(stored, flag)
    args = [*without(stored, "--out"), *typed, "--out", str(folder)]
    ended = steps_of(folder)
    if ended is None:
        checkpoint = _checkpoint_of(folder)
        if checkpoint is not None and typed:
            done, wanted = read_checkpoint(checkpoint)["global_step"], wanted_steps(folder, typed)
            if wanted < done:
                raise UserError(
                    f"option trainer.max_steps is {wanted}, but the run in {folder} has done "
                    f"{done} steps; give more"
                )
        return Continued(args, checkpoint, bool(typed))
    newest = newest_checkpoint(folder)
    if ended >= wanted_steps(folder, typed) or newest is None:
        raise UserError(
            f"option --resume: {folder} holds no unfinished run (it is finished); to train longer, "
            f"give --trainer.max_steps with more than its {ended} steps"
        )
    return Continued(args, _as_last(newest), bool(typed))


def steps_of(folder: Path) -> int | None:
    """Optimiser steps that a finished run has done; None where there is none."""
    with suppress(OSError, ValueError, KeyError):
        return int(json.loads((folder / SUMMARY).read_text(encoding="utf-8"))["steps"])
    return None


def wanted_steps(folder: Path, typed: list[str]) -> int:
    """Optimiser steps that a run is to have in the end: as typed now, else as before."""
    values = dict(pairs(typed)).get("--trainer.max_steps", ())
    if len(values) == 1 and values[0].isdecimal():
        return int(values[0])
    return int(config_of(folder)["trainer"]["max_steps"])


def config_of(folder: Path) -> dict[str, Any]:
    """Everything that decides the run in a folder.

    Raises:
        UserError: Where it cannot be read.
    """
    path = folder / "config.yaml"
    try:
        return dict(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise UserError(
            f"{path} cannot be read ({reason}); without it the run cannot go on: start another"
        ) from error


def refuse_contradictions(folder: Path, config: Mapping[str, Any]) -> None:
    """Refuse options that a run must keep, see `FREE`, where they differ from those of its start.

    Args:
        folder: Of the run.
        config: Everything that would decide it from here on.

    Raises:
        UserError: For the first option that contradicts.
    """
    theirs, mine = flatten(config_of(folder)), flatten(config)
    for name in [*mine, *theirs]:
        if mine.get(name) != theirs.get(name) and not _may_change(name):
            option = typed_name(name).removesuffix(".class_path")
            raise contradiction(folder, option, theirs.get(name), mine.get(name))


def refuse_other_labels(checkpoint: Path, split_hash: str) -> None:
    """Refuse data with other labeled images than the run was started with.

    Args:
        checkpoint: That it goes on from.
        split_hash: Of the labeled images that are there now.

    Raises:
        UserError: Where they are others.
    """
    theirs = read_checkpoint(checkpoint)["ssseg"]["data"]["split_hash"]
    if theirs != split_hash:
        raise UserError(
            f"the labeled images are not those that the run in {checkpoint.parent.parent} was "
            f"started with (split hash {split_hash}, there {theirs}); give the same data, or start "
            "another run (--init takes the weights of this one)"
        )


def contradiction(folder: Path, option: str, theirs: object, mine: object) -> UserError:
    """The error for an option that cannot change when a run is resumed."""
    return UserError(
        f"option {option} is {mine!r}, but the run in {folder} was started with {theirs!r} and "
        "goes on with that; leave the option out, or start another run (--init takes the weights "
        "of this one)"
    )


def _may_change(name: str) -> bool:
    typed = typed_name(name).rstrip("+")
    return any(typed == free or typed.startswith(f"{free}.") for free in FREE)


def _checkpoint_of(folder: Path) -> Path | None:
    """Where an unfinished run goes on from; None where it starts again from step 0."""
    newest = newest_checkpoint(folder)
    if newest is None:
        if leads():  # interrupted before its first checkpoint: nothing is lost by a new start
            shutil.rmtree(folder)
        return None
    return _as_last(newest)


def _as_last(newest: Path) -> Path:
    last = newest.with_name(LAST)
    if newest != last and leads():  # the newest one is torn, or gone
        shutil.copy(newest, last)
    return last


def newest_checkpoint(folder: Path) -> Path | None:
    """The newest whole checkpoint of a run; None where none was written.

    Raises:
        UserError: Where there are some, and none can be read.
    """
    last, *others = paths = [folder / "checkpoints" / name for name in CHECKPOINTS]
    with suppress(UserError):
        read_checkpoint(last)
        return last
    steps: dict[Path, int] = {}
    for path in others:
        with suppress(UserError):
            steps[path] = read_checkpoint(path)["global_step"]
    torn = [path for path in paths if path.exists()]
    if torn and not steps:
        raise UserError(
            f"no checkpoint of {folder} can be read ({', '.join(map(str, torn))}); put a copy of "
            "one there, or remove the folder to start anew"
        )
    return max(steps, key=steps.__getitem__, default=None)
