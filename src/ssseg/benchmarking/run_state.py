"""What the folder of a planned run holds: nothing, an unfinished run, or a finished one."""

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
    """How far a run is; a `trained` one is still to be scored on the test images."""
    if (planned.folder / SUMMARY).is_file():
        tested = not planned.test or (planned.folder / TESTED).is_file()
        return "finished" if tested else "trained"
    return "unfinished" if (planned.folder / COMMAND).is_file() else "new"


def check_run_state(planned: Planned, forecast: Forecast) -> RunState:
    """How far a run is, if what its folder holds is this run.

    Raises:
        UserError: If it is a run of other options, seed or labeled images, or something else.
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
                planned.folder, f"other labeled images: split hash {theirs}, not "
                f"{forecast.split_hash}"
            )  # fmt: skip
    return found


def _must_be_free(folder: Path) -> None:
    if folder.is_dir() and any(folder.iterdir()):
        raise UserError(f"{folder} holds something that is no run; give another --out, or move it")


def _another(folder: Path, said: str) -> UserError:
    return UserError(f"{folder} holds a run of {said}; give another --out, or delete it")


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
    return f"another version of ssseg, which had not the same options ({', '.join(added[:3])})"
