"""`ssseg.benchmark` and `ssseg.reproduce`: the Python functions for the verbs."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from rich.console import Console

from ssseg.benchmarking.benchmark import Work, default_folder, run_benchmark
from ssseg.benchmarking.committed_grids import committed_grid, folder_name
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
    """Train several methods and compare them, as `ssseg benchmark` does.

    For example `ssseg.benchmark(["cutmix", "classmix"], seeds=3, max_steps=800)`, or
    `ssseg.benchmark("grid.yaml")`. A second call with the same `out` trains the missing runs only.

    Args:
        methods: Names from `ssseg methods`, or the path of a grid file.
        data: A name from `ssseg datasets`. None: as in the grid, or `street`.
        splits: Choices of labeled images, as `labeled` of `ssseg.fit`.
        networks: Names of networks.
        seeds: Number of seeds (from 0), or a list of seeds. None: as in the grid, or one seed.
        max_steps: Optimiser steps of every run. None: as in the grid, or 800.
        out: Folder of the benchmark. None: `runs/` and the name of the grid.
        jobs: Runs at the same time. None: one, or one per GPU.
        supervised: Add a supervised run with the same number of steps, if there is none.
        test: Also score the last step of every run on the test images.
        smoke: Use the smoke form of the grid.
        launcher: `local`, or `ray` for a cluster.
        address: Address of the Ray cluster. None: this machine only.
        retries: How many times a run is restarted after its process died.
        options: Options of `ssseg fit` for every run, e.g. `{"network.encoder": "resnet50"}`; an
            option of one method starts with its name: `{"classmix.threshold": 0.9}`.
        **data_options: Options of the data set and its batches, e.g. `root`, `batch_size`.

    Returns:
        The report: `table` and `runs` (pandas data frames), `figures` (matplotlib), `save(folder)`;
        in a notebook it is displayed as a page.

    Raises:
        UserError: For options that cannot work, before any training; and if runs failed, after
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


def reproduce(
    name: str, *, out: str | Path | None = None, smoke: bool = False, **options: Any
) -> Report:
    """Train the rows of a paper's table and compare them with its numbers, as `ssseg reproduce`.

    For example `ssseg.reproduce("classmix/table1", root="cityscapes", jobs=4)`.

    Args:
        name: Of a grid that comes with ssseg; `ssseg reproduce` lists them.
        out: Folder of the runs. None: `runs/` and the name.
        smoke: Train the rows with few steps, on drawn scenes.
        **options: Other arguments of `ssseg.benchmark`.

    Returns:
        The report, as of `ssseg.benchmark`.

    Raises:
        UserError: For an unknown name, and as `ssseg.benchmark`.
    """
    folder = default_folder(folder_name(name), smoke) if out is None else out
    return benchmark(committed_grid(name), out=folder, smoke=smoke, **options)
