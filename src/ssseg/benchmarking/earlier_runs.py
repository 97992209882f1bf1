"""Finds runs that were trained before with the same configuration, seed and images."""

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from ssseg.benchmarking.preflight import Forecast
from ssseg.reports.comparison.collect import get
from ssseg.runs.run import COMMAND, SUMMARY, config_hash


def earlier_run(around: Path, forecast: Forecast, seed: int) -> Path | None:
    """A run that need not be trained again, or else one that can be resumed; None if there is none.

    Args:
        around: The folder that holds the folders of runs; those further below are not looked at.
        forecast: What `preflight` knows of the run that is wanted.
        seed: Its seed.
    """
    folders = sorted(path for path in around.glob("*") if path.is_dir())
    for find in (_finished, _unfinished):
        for folder in find(folders, forecast, seed):
            return folder
    return None


def _finished(folders: list[Path], forecast: Forecast, seed: int) -> Iterator[Path]:
    wanted = {
        "config_hash": forecast.config_hash,
        "seed": seed,
        "data.split_hash": forecast.split_hash,
        "data.val": forecast.data["val"],
    }
    if forecast.data["unlabeled"] is not None:
        wanted["data.unlabeled"] = forecast.data["unlabeled"]
    for folder in folders:
        summary = _mapping(folder / SUMMARY)
        if summary and all(get(summary, name) == value for name, value in wanted.items()):
            yield folder


def _unfinished(folders: list[Path], forecast: Forecast, seed: int) -> Iterator[Path]:
    for folder in folders:
        if (folder / COMMAND).is_file() and not (folder / SUMMARY).is_file():
            config = _mapping(folder / "config.yaml")
            same = config_hash(config) == forecast.config_hash
            if same and config.get("seed_everything") == seed:
                yield folder


def _mapping(path: Path) -> Mapping[str, Any]:
    """What a file holds; empty if it cannot be read."""
    with suppress(OSError, ValueError, yaml.YAMLError):
        text = path.read_text(encoding="utf-8")
        found = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
        if isinstance(found, Mapping):
            return found
    return {}
