"""A run goes on in its own folder as if it had never been cut off."""

import os
import shutil
from contextlib import suppress
from pathlib import Path

from pytorch_lightning.utilities import rank_zero_only

from ssseg.arguments import pairs, without
from ssseg.errors import UserError
from ssseg.module import read_checkpoint
from ssseg.unfinished import CHECKPOINTS, LAST, SUMMARY, command_of, refuse_another


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


def continued(args: list[str]) -> tuple[list[str], Path | None]:
    """The options of `fit`, and the checkpoint of an unfinished run of theirs.

    `--resume FOLDER` stands for the options of the run in that folder. `--out FOLDER` finds an
    unfinished run of the same options by itself; `--ckpt_path last` says that it may be there.

    Raises:
        UserError: For a folder without an unfinished run, with one of other options, or with
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
        return args, None
    if "--resume" in given:
        stored = command_of(folder)
        if stored is None:
            done = " (it is finished)" if (folder / SUMMARY).is_file() else ""
            raise UserError(f"option --resume: {folder} holds no unfinished run{done}")
        args = [*without(stored, "--out"), "--out", str(folder)]
    elif "--ckpt_path" in given:
        return args, None
    else:
        stored = command_of(folder)
        if stored is None:
            return args, None
        refuse_another(folder, without(args, "--out"), without(stored, "--out"))
    newest = newest_checkpoint(folder)
    if newest is None:
        if leads():  # cut off before its first checkpoint: nothing is lost by a new start
            shutil.rmtree(folder)
        return args, None
    last = newest.with_name(LAST)
    if newest != last and leads():  # the newest one is torn, or gone
        shutil.copy(newest, last)
    return args, last


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
