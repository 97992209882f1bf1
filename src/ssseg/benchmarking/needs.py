"""What the runs of a grid need: data, weights, time and memory."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from ssseg.benchmarking.grid import Planned
from ssseg.benchmarking.preflight import Forecasts, ImpossibleRunsError
from ssseg.benchmarking.progress_table import durations
from ssseg.benchmarking.run_state import check_run_state
from ssseg.data.datasets import DATASETS, unnamed
from ssseg.errors import UserError
from ssseg.models.networks import NETWORKS
from ssseg.runs.command import pairs


class Named(NamedTuple):
    """What the options and the recipe of a run name; known also where its data are missing."""

    data: str
    root: str | None
    encoder: str | None
    """None: what suits the data set."""
    weights: str | None


def named_by(planned: Planned) -> Named:
    """The data, the encoder and its weights that a run names."""
    given = {flag.removeprefix("--"): values[0] for flag, values in pairs(planned.args) if values}
    recipe = _recipe(given.get("config"))
    name = given.get("network", "")
    network = {
        **_inside(recipe, "model", "network", "init_args"),
        **({"weights": "auto", **NETWORKS[name]} if name in NETWORKS else {}),
        **{k.removeprefix("network."): v for k, v in given.items() if k.startswith("network.")},
    }
    source = _inside(recipe, "data", "source")
    path = str(source.get("class_path", ""))
    classes = {entry.class_name: name for name, entry in DATASETS.items()}
    options = [flag.removeprefix("data.") for flag in given]
    usual = classes.get(path.rpartition(".")[2], path) or unnamed(options, next(iter(DATASETS)))
    return Named(
        given.get("data", usual),
        given.get("data.root", _inside(source, "init_args").get("root")),
        network.get("encoder"),
        "imagenet" if network.get("weights") == "auto" else network.get("weights"),
    )


def _recipe(file: str | None) -> Any:
    return {} if file is None else yaml.safe_load(Path(file).read_text(encoding="utf-8"))


def _inside(values: Any, *keys: str) -> Mapping[str, Any]:
    for key in keys:
        values = values.get(key) if isinstance(values, Mapping) else None
    return values if isinstance(values, Mapping) else {}


def needed(runs: Sequence[Planned]) -> Iterator[tuple[str, str]]:
    """The data and the pretrained weights of runs, a line for each."""
    named = list(dict.fromkeys(map(named_by, runs)))
    for data in dict.fromkeys(one.data for one in named):
        yield "data", _about(data)
    weights = ((one.encoder, one.weights) for one in named)
    for encoder, origin in dict.fromkeys(weights):
        if encoder is not None and origin == "imagenet":
            yield "weights", f"pretrained {encoder} of timm, fetched at the first use"
        elif encoder is not None and origin not in (None, "random", "null"):
            yield "weights", f"of {encoder}: {origin}"


def _about(data: str) -> str:
    if data not in DATASETS:
        return data
    home = DATASETS[data].home
    return DATASETS[data].summary + (f" ({home})" if home else "")


def check_roots(runs: Sequence[Planned]) -> None:
    """Check that the folder of a published data set is given; a look-ahead would take minutes.

    Raises:
        UserError: If it is not given or not there, with where the data are published.
    """
    for one in map(named_by, runs):
        if one.data in DATASETS and DATASETS[one.data].home:
            if one.root is None:
                said = "is missing"
            elif not Path(one.root).is_dir():
                said = f"is {one.root}, but there is no such folder"
            else:
                continue
            raise UserError(f"option data.root {said}; expected the folder of {_about(one.data)}")


def data_missing(runs: Sequence[Planned], error: ImpossibleRunsError) -> UserError:
    """The error for runs that cannot work; where `data.root` is wrong, it says what the data are.

    Args:
        runs: The runs.
        error: Why they cannot work.
    """
    if error.common is None or "data.root" not in error.common:
        return error
    data = dict.fromkeys(_about(named_by(planned).data) for planned in runs)
    return UserError("; ".join([error.common, *data]))


def estimated(runs: Sequence[Planned], looked: Forecasts, jobs: int) -> str:
    """The duration of the runs that are not finished, one after another and at the same time.

    Args:
        runs: The runs.
        looked: Their forecasts, measured.
        jobs: Number of runs at the same time.
    """
    shortest = longest = 0.0
    unknown = 0
    for planned, forecast in zip(runs, looked.runs, strict=True):
        if check_run_state(planned, forecast) not in ("finished", "trained"):
            low, high = forecast.between or (0.0, 0.0)
            shortest, longest = shortest + low, longest + high
            unknown += forecast.between is None
    at_once = f", {durations(shortest / jobs, longest / jobs)} with {jobs} at once" * (jobs > 1)
    without = f"; {unknown} of them are not measured and not counted" * (unknown > 0)
    return f"about {durations(shortest, longest)}{at_once}{without}"


def measured(runs: Sequence[Planned], looked: Forecasts, jobs: int) -> Iterator[tuple[str, str]]:
    """The time and the memory of runs, as the look-ahead found them; arguments as `estimated`."""
    count = f"{looked.gpus} GPU{'s' * (looked.gpus != 1)}" if looked.gpus else "no GPU"
    said = f"{len(runs)} run{'s' * (len(runs) != 1)} on this machine ({count})"
    yield "time", f"{said}: {estimated(runs, looked, jobs)}"
    known = [forecast.memory for forecast in looked.runs if forecast.memory is not None]
    if known:
        yield "memory", f"{max(known) / 1e9:.1f} GB for the largest run, without temporary buffers"
