"""The state of a planned run, from the files in its folder: new, unfinished or finished."""

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import yaml

from ssseg.benchmarking.grid import Planned
from ssseg.benchmarking.preflight import Forecast
from ssseg.errors import UserError
from ssseg.runs.command import typed_name
from ssseg.runs.run import COMMAND, SUMMARY, TESTED, config_hash
from ssseg.serialization import flatten

RunState = Literal["new", "unfinished", "trained", "finished"]


def run_state(planned: Planned) -> RunState:
    """The state of a run; a `trained` run must still be scored on the test images."""
    if (planned.folder / SUMMARY).is_file():
        tested = not planned.test or (planned.folder / TESTED).is_file()
        return "finished" if tested else "trained"
    return "unfinished" if (planned.folder / COMMAND).is_file() else "new"


def check_run_state(planned: Planned, forecast: Forecast) -> RunState:
    """The state of a run, after a check that its folder belongs to this run.

    Raises:
        UserError: If the folder has a run with other options, seed or labeled images, or other
            files.
    """
    found = run_state(planned)
    if found == "new":
        _must_be_free(planned.folder)
        return found
    config = _config(planned.folder)
    if config_hash(config) != forecast.config_hash:
        raise _another(planned.folder, _difference(config, forecast.config))
    if config.get("seed_everything") != planned.seed:
        raise _another(planned.folder, f"seed {config.get('seed_everything')}")
    if found != "unfinished":
        theirs = _split_hash(planned.folder)
        if theirs != forecast.split_hash:
            raise _another(
                planned.folder,
                f"other labeled images (split hash {theirs}, expected {forecast.split_hash})",
            )
    return found


def _must_be_free(folder: Path) -> None:
    if folder.is_dir() and any(folder.iterdir()):
        raise UserError(f"{folder} has files that are not a run; give another --out, or move them")


def _another(folder: Path, said: str) -> UserError:
    return UserError(f"{folder} has a run with {said}; give another --out, or delete it")


def _config(folder: Path) -> dict[str, Any]:
    path = folder / "config.yaml"
    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(
            f"{path} cannot be read ({' '.join(str(error).split())}); delete the folder, or give "
            "another --out"
        ) from error
    return config if isinstance(config, dict) else {}


def _split_hash(folder: Path) -> str | None:
    with suppress(OSError, ValueError, KeyError, TypeError):
        summary = json.loads((folder / SUMMARY).read_text(encoding="utf-8"))
        return str(summary["data"]["split_hash"])
    return None


def _difference(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> str:
    """The first option in which two configurations differ."""
    there, here = flatten(theirs), flatten(ours)
    for name in [*there, *here]:
        if there.get(name) != here.get(name) and name in (there.keys() & here.keys()):
            option = typed_name(name)
            return f"other options ({option} is {there[name]!r} there, {here[name]!r} here)"
    added = sorted(typed_name(name) for name in there.keys() ^ here.keys())
    return f"the options of another version of ssseg (they differ in {', '.join(added[:3])})"
