"""`ssseg.benchmark(...)`: the verb as a Python function, on the same path."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from rich.console import Console

from ssseg.benchmarking.benchmark import Work, default_folder, run_benchmark
from ssseg.benchmarking.grid_file import grid_of, read_grid
from ssseg.reports.comparison.report import Report
from ssseg.runs.command import typed
from ssseg.runs.paths import as_path


def benchmark(
    methods: Sequence[str] | str | Path,
    data: str | None = None,
    *,
    splits: Sequence[str | int] = (),
    networks: Sequence[str] = (),
    seeds: int | Sequence[int] | None = None,
    max_steps: int | None = None,
    out: str | Path | None = None,
    jobs: int | None = None,
    supervised: bool = True,
    test: bool = False,
    smoke: bool = False,
    launcher: Literal["local", "ray"] = "local",
    address: str | None = None,
    retries: int = 1,
    options: Mapping[str, Any] | None = None,
    **data_options: Any,
) -> Report:
    """Train methods side by side, as `ssseg benchmark` does, and compare them.

    For example `ssseg.benchmark(["cutmix", "classmix"], seeds=3, max_steps=800)`, or
    `ssseg.benchmark("grid.yaml")`. Called again with the same `out`, it trains what is missing.

    Args:
        methods: Names from `ssseg methods`, or the path of a grid.
        data: A name from `ssseg datasets`. None: the grid's, or `street`.
        splits: Choices of labeled images, as `labeled` of `ssseg.fit` takes them.
        networks: Names of networks.
        seeds: How many (from 0), or which. None: the grid's, or one.
        max_steps: Length of every run in steps. None: the grid's, or 800.
        out: Folder of the study. None: `runs/` and the grid's name.
        jobs: Runs at once. None: one, or one per GPU.
        supervised: Add a supervised run of the same budget where there is none.
        test: Score the last step of every run on the test images as well.
        smoke: Take the grid's smoke.
        launcher: `local`, or `ray` for a cluster.
        address: Of the Ray cluster. None: this machine alone.
        retries: How often a run whose process died is taken up again.
        options: Of every run, as `ssseg fit` has them, e.g. `{"network.encoder": "resnet50"}`;
            those of one method by its name: `{"classmix.threshold": 0.9}`.
        **data_options: Of the data set and its batches, e.g. `root`, `batch_size`.

    Returns:
        The report: `table` and `runs` (pandas data frames), `figures` (matplotlib), `save(folder)`;
        a notebook shows it as a page.

    Raises:
        UserError: For anything that cannot work, before anything trains; and if runs failed, after
            the others are finished.
    """
    named = {f"data.{name}": value for name, value in data_options.items()}
    given = {**({} if data is None else {"data": data}), **(options or {}), **named}
    if max_steps is not None:
        given["trainer.max_steps"] = max_steps
    words = typed(given)
    chosen = list(range(seeds)) if isinstance(seeds, int) else seeds
    if isinstance(methods, str | Path):
        file = as_path(methods)
        grid = read_grid(file, words, smoke=smoke, supervised=supervised)
        grid = grid._replace(seeds=grid.seeds if chosen is None else chosen, test=grid.test or test)
    else:
        file = None
        grid = grid_of(
            methods,
            [0] if chosen is None else chosen,
            words,
            splits=[str(split) for split in splits],
            networks=networks,
            supervised=supervised,
            test=test,
        )
    folder = as_path(out) if out is not None else default_folder(file, smoke)
    work = Work(jobs, launcher, address, retries)
    return run_benchmark(grid, folder, work, Console(markup=False, emoji=False))
