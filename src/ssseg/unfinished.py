"""Runs that were cut off: what they were asked, and where they go on from."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ssseg.errors import UserError

COMMAND = "command.json"
SUMMARY = "summary.json"
METRICS = "metrics.csv"
LAST, PREVIOUS = "last.ckpt", "previous.ckpt"
CHECKPOINTS = (LAST, PREVIOUS, "best.ckpt")
"""Where a run may go on from. Any of them leads to the same end."""


def note_command(folder: Path, args: Sequence[str]) -> None:
    """Keep the options of a run in its folder."""
    (folder / COMMAND).write_text(json.dumps(list(args)) + "\n", encoding="utf-8")


def command_of(folder: Path) -> list[str] | None:
    """The options of the unfinished run in a folder; None where there is none.

    Raises:
        UserError: Where they cannot be read.
    """
    return None if (folder / SUMMARY).is_file() else options_of(folder)


def options_of(folder: Path) -> list[str] | None:
    """The options of the run in a folder, finished or not; None where there is none.

    Raises:
        UserError: Where they cannot be read.
    """
    path = folder / COMMAND
    if not path.is_file():
        return None
    try:
        args = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(
            f"{path} cannot be read ({error}); remove the folder and start anew"
        ) from error
    return [str(arg) for arg in args]


def refuse_another(folder: Path, mine: Sequence[str], theirs: Sequence[str]) -> None:
    """An unfinished run goes on with the options that it was started with, or not at all.

    Raises:
        UserError: Where they differ, with the first option that does.
    """
    if list(mine) == list(theirs):
        return
    longer = max(len(mine), len(theirs))
    pad = [*mine, *[""] * longer], [*theirs, *[""] * longer]
    place = next(i for i in range(longer) if pad[0][i] != pad[1][i])
    raise UserError(
        f"option out: {folder} holds an unfinished run of other options ({pad[1][place]!r} there, "
        f"{pad[0][place]!r} here); give the same ones to go on with it (ssseg fit --resume "
        f"{folder}), or another folder"
    )


def earlier_rows(folder: Path, step: int) -> list[dict[str, Any]]:
    """The rows of metrics.csv from before a checkpoint; what came later is logged again.

    Args:
        folder: Of the run.
        step: Optimiser steps done at the checkpoint.
    """
    path = folder / METRICS
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        lines = [line for line in file if line.endswith("\n")]  # the last may be cut off
    rows = [{k: v for k, v in row.items() if v} for row in csv.DictReader(lines)]
    return [{**row, "step": int(row["step"])} for row in rows if int(row["step"]) < step]
