"""Finds runs in folders: finished ones, and those without scores with the reason."""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from ssseg.runs.run import STUDY, TESTED, Run, last_line, latest

NEEDED = (
    *("method.name", "data.name", "data.classes", "data.split", "data.split_hash", "data.labeled"),
    *("data.unlabeled", "data.val", "data.batch_size", "data.unlabeled_batch_size"),
    *("network.name", "seed", "steps", "predictor", "last", "best", "history"),
    *("exposures.labeled", "seconds", "data_wait", "peak_memory_mb", "device", "versions"),
    "command",
)
"""What the summary of a run must hold; `ssseg fit` writes all of it."""


class RunEntry(NamedTuple):
    """A finished run."""

    folder: Path
    summary: Mapping[str, Any]
    row: str | None = None
    """Its label in the benchmark that it was made for."""
    column: str = ""
    published: float | None = None
    """A paper's mIoU in percent of the same row and column, as the benchmark's grid has it."""
    test: Mapping[str, Any] | None = None
    """What `ssseg test` found at the run's last step; None where it was not asked."""

    @property
    def method(self) -> str:
        """The name of its method."""
        name: str = self.summary["method"]["name"]
        return name

    @property
    def seed(self) -> int:
        """The seed; runs of several methods are paired by it."""
        seed: int = self.summary["seed"]
        return seed

    @property
    def predictor(self) -> str:
        """The network that the method predicts with."""
        name: str = self.summary["predictor"]
        return name

    def get(self, dotted: str) -> Any:
        """A value of the summary; None where it is not there."""
        return get(self.summary, dotted)

    @property
    def metrics(self) -> list[dict[str, float]]:
        """The rows of metrics.csv; none where it is not there or is broken."""
        with suppress(OSError, ValueError):
            return Run(self.folder).metrics
        return []


class LeftOut(NamedTuple):
    """A run that is in no table."""

    folder: Path
    reason: str


def get(values: Any, dotted: str) -> Any:
    """`values["a"]["b"]` for `a.b`; None where there is none."""
    for key in dotted.split("."):
        if not isinstance(values, Mapping):
            return None
        values = values.get(key)
    return values


def collect(places: Iterable[Path]) -> tuple[list[RunEntry], list[LeftOut]]:
    """The runs in these folders and below, each once.

    Args:
        places: Folders of runs, or folders that hold some, e.g. that of a benchmark.
    """
    found: dict[Path, Path] = {}
    plans_of: dict[Path, list[Mapping[str, Any]]] = {}
    for place in places:
        for folder in _folders(place):
            found.setdefault(folder.resolve(), folder)
            plans_of.setdefault(folder.resolve().parent, planned_runs(folder.parent))
        for planned in planned_runs(place):
            folder = place / str(planned.get("folder"))
            found.setdefault(folder.resolve(), folder)
            plans_of[place.resolve()] = planned_runs(place)
    entries: list[RunEntry] = []
    out: list[LeftOut] = []
    for resolved, folder in found.items():
        plans = {str(p.get("folder")): p for p in plans_of.get(resolved.parent, [])}
        read = _read(folder, plans.get(resolved.name))
        if isinstance(read, RunEntry):
            entries.append(read)
        else:
            out.append(read)
    return entries, out


def _folders(place: Path) -> Iterator[Path]:
    """Folders of runs, finished or not: in the order of a benchmark's grid, else by name.

    Folders inside of a run are not looked at.
    """
    for folder, below, files in os.walk(place):
        if "summary.json" in files or "config.yaml" in files:
            below.clear()
            yield Path(folder)
        else:
            planned = [str(run.get("folder")) for run in planned_runs(Path(folder))]
            places = {name: place for place, name in enumerate(planned)}
            below[:] = [name for name in below if not name.startswith(".")]
            below.sort(key=lambda name: (places.get(name, len(places)), name))


def planned_runs(folder: Path) -> list[Mapping[str, Any]]:
    """The runs that a benchmark planned in this folder; none where it is not a benchmark's."""
    with suppress(OSError, ValueError):
        given = json.loads((folder / STUDY).read_text(encoding="utf-8"))
        runs = get(given, "runs")
        if isinstance(runs, list):
            return [run for run in runs if isinstance(run, Mapping)]
    return []


def _read(folder: Path, planned: Mapping[str, Any] | None) -> RunEntry | LeftOut:
    file = folder / "summary.json"
    if not file.is_file():
        return LeftOut(folder, _unfinished(folder))
    try:
        summary = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        return LeftOut(folder, f"its summary.json cannot be read ({' '.join(str(error).split())})")
    missing = [key for key in NEEDED if get(summary, key) is None]
    if missing:
        return LeftOut(folder, f"its summary.json has no {', '.join(missing)}")
    if get(summary["last"], f"{summary['predictor']}.miou") is None:
        return LeftOut(folder, "it has no scores: it was not validated")
    test = _test(folder, summary)
    if planned is None:
        return RunEntry(folder, summary, test=test)
    row, column = str(planned.get("row")), str(planned.get("column") or "")
    return RunEntry(folder, summary, row, column, planned.get("published"), test)


def _test(folder: Path, summary: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The scores of the last step on the test images that a benchmark asked for."""
    with suppress(OSError, ValueError):
        found = json.loads((folder / TESTED).read_text(encoding="utf-8"))
        if get(found, "data.split") == "test" and get(found, "step") == summary["steps"]:
            return found if isinstance(found, Mapping) else None
    return None


def _unfinished(folder: Path) -> str:
    """The reason why there is no summary, from the files of the run."""
    log = folder.with_name(f"{folder.name}.log")
    step = latest(folder).get("step")
    state = "not finished: no summary.json"
    if step is not None:
        state += f", metrics.csv ends at step {step + 1:.0f}"
    if log.is_file():
        end = last_line(log).split("\r")[-1].strip()  # a progress bar writes over itself
        return f"{state}; its log ends with: {end[:300]}"
    return state if folder.is_dir() else "not started: there is no such folder"
