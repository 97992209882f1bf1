"""Reads a run from its folder. It imports no torch, because reports read many runs."""

import csv
import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ssseg.errors import UserError
from ssseg.runs.paths import as_path
from ssseg.runs.verdict import Verdict, read_verdict

TESTED = Path("test") / "scores.json"
"""In a run's folder, its scores on the test images."""


STUDY = "study.json"
"""What a benchmark planned; it lies beside the folders of its runs."""


COMMAND = "command.json"
SUMMARY = "summary.json"
SPLIT = "split.json"
METRICS = "metrics.csv"
LAST, PREVIOUS = "last.ckpt", "previous.ckpt"
CHECKPOINTS = (LAST, PREVIOUS, "best.ckpt")
"""Checkpoints from which a run can be resumed, with the same final weights."""


PROGRESS = "progress.json"
"""The progress of an unfinished run: step, speed and scores."""

NEUTRAL = ("out", "seed_everything", "ckpt_path", "config", "logger", "reference")
"""Options that a hash of the configuration leaves out: where a run is kept, what it is compared
with, and its seed, which stands beside it."""


def config_hash(config: Mapping[str, Any]) -> str:
    """A short hash of a run's full configuration, the defaults included: equal hash, equal run.

    Args:
        config: What config.yaml holds.
    """
    rest = {key: value for key, value in config.items() if key not in NEUTRAL}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()[:12]


@dataclass(frozen=True)
class Run:
    """The folder that `ssseg fit` leaves.

    Args:
        folder: Where it is.
    """

    folder: Path

    def __post_init__(self) -> None:
        object.__setattr__(self, "folder", as_path(self.folder))

    @property
    def summary(self) -> dict[str, Any]:
        """Method, data, split, seed, versions, steps, exposures, time, memory and all scores."""
        path = self.folder / "summary.json"
        if not path.is_file():
            raise UserError(f"{self.folder} holds no finished run: there is no summary.json in it")
        summary: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return summary

    @property
    def history(self) -> list[dict[str, float]]:
        """The scores of every validation: `step`, and mIoU by network name."""
        history: list[dict[str, float]] = self.summary["history"]
        return history

    @property
    def metrics(self) -> list[dict[str, float]]:
        """The rows of metrics.csv; empty cells are left out."""
        with (self.folder / "metrics.csv").open(encoding="utf-8", newline="") as file:
            return [
                {key: float(value) for key, value in row.items() if value}
                for row in csv.DictReader(file)
            ]

    @property
    def progress(self) -> dict[str, Any]:
        """How an unfinished run stood about a second ago; empty where there is none.

        `step`, `steps`, `images_per_second`, `seconds_left`, and `miou` by network.
        """
        with suppress(OSError, ValueError):
            found: dict[str, Any] = json.loads((self.folder / PROGRESS).read_text(encoding="utf-8"))
            return found
        return {}

    @property
    def verdict(self) -> Verdict | None:
        """The comparison with the run of `versus`; None if none was made since the last step."""
        found = read_verdict(self.folder)
        return found if found is not None and found.steps == self.summary["steps"] else None

    @property
    def samples(self) -> list[Path]:
        """The sample pictures, oldest first."""
        return sorted((self.folder / "samples").glob("*.png"))

    def checkpoint(self, which: str = "last") -> Path:
        """The file of the `last` or `best` checkpoint."""
        return self.folder / "checkpoints" / f"{which}.ckpt"

    def __str__(self) -> str:
        summary = self.summary
        scores = ", ".join(
            f"{name} {100 * score['miou']:.1f}" for name, score in summary["last"].items()
        )
        what = f"{summary['method']['name']} on {summary['data']['name']}"
        if not scores:
            return f"{what}: not validated"
        return f"{what}: mIoU {scores} ({_place(summary)})"


def _place(summary: Mapping[str, Any]) -> str:
    """The step of which the newest scores are, in words."""
    scored, done, ended = summary["history"][-1]["step"], summary["steps"], summary["ended_early"]
    if ended is not None:
        return f"step {scored}; ended by {ended['by']} at step {done} of {ended['max_steps']}"
    return "last step" if scored == done else f"step {scored} of {done}"


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


def latest(folder: Path) -> dict[str, float]:
    """The newest value of every column of a run's metrics.csv; empty where there is none yet."""
    values: dict[str, float] = {}
    with suppress(OSError, ValueError), (folder / "metrics.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            values.update({key: float(value) for key, value in row.items() if key and value})
    return values


def last_line(log: Path) -> str:
    """The last line of a log; for a failed run, its error."""
    if not log.is_file():
        return f"there is no {log}"
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1].removeprefix("ssseg: error: ") if lines else f"see {log}"
