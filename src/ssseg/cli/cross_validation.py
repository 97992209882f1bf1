"""`ssseg fit --data.folds 5`: a run per fold, and one score of all labeled images."""

import inspect
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from torch import Tensor

from ssseg.benchmarking.benchmark import Work, launcher_of, write_study
from ssseg.benchmarking.grid import Grid, Planned, plan
from ssseg.benchmarking.preflight import Forecast
from ssseg.benchmarking.run_state import check_run_state
from ssseg.benchmarking.runner import Runner
from ssseg.cli.nested import fit_options
from ssseg.cli.versus import Asked, ask, checked, compare, count_images, grid_for, in_folder
from ssseg.data.datasets import DATASETS, source_class, unnamed
from ssseg.data.datasets.base import Source
from ssseg.data.splits.folds import check_folds
from ssseg.errors import UserError
from ssseg.evaluation.bootstrap import paired_bootstrap
from ssseg.evaluation.metrics import mean_iou
from ssseg.methods.base import Method
from ssseg.reports.advice import advice
from ssseg.runs.command import pairs, typed, with_home
from ssseg.runs.cross_validation import CrossValidation, FoldScores, write_scores
from ssseg.runs.lock import names
from ssseg.runs.run import Run
from ssseg.runs.verdict import SUPERVISED, Verdict, write_verdict

MORE = "label more images, or repeat it with another seed (--seed_everything 1)"


def cross_validate(
    method: str | type[Method] = "classmix",
    data: str | type[Source] | None = None,
    *,
    folds: int = 5,
    versus: str | None = None,
    **options: Any,
) -> CrossValidation:
    """Train a run per fold and score every labeled image, as `ssseg fit --data.folds 5` does.

    For example `ssseg.cross_validate(images="photos", masks="masks", folds=5)`. A second call of
    the same options trains only what is missing.

    Args:
        method: As in `ssseg.fit`.
        data: A data set with folds. None: `pairs`, which `images` and `masks` stand for.
        folds: Each labeled image is held out in one of them; unlabeled images are in all.
        versus: A method, e.g. `supervised`, that is trained alike on every fold.
        **options: The others of `ssseg.fit`; `out` is the folder that holds those of the runs.

    Returns:
        `scores` by method, with those of each fold and the pooled one, and the `verdict`; `str`
        gives a table.

    Raises:
        UserError: For options that cannot work, before any training; and if runs failed.
    """
    words = typed(fit_options(method, data, **options) | {"data.folds": folds})
    return fit_folds([*words, *([] if versus is None else ["--versus", versus])])


def fit_folds(args: Sequence[str]) -> CrossValidation:
    """Train a run per fold and method, and score them on the images that they held out.

    Args:
        args: Options of `ssseg fit`, with `--data.folds`.

    Raises:
        UserError: For options that cannot work, before any training; and if runs failed.
    """
    args = with_home(args)
    folds = count_of_folds(args)
    asked = ask(args, "--data.folds, which trains a run per fold")
    console, work = Console(markup=False, emoji=False), Work()
    grid = grid_of_folds(asked, folds)
    planned = plan(grid, Path("runs"))
    looked = checked(planned, work, console)
    placed = place(asked, folds, planned, looked.runs)
    launcher = launcher_of(placed, work, looked.gpus)
    Runner(placed, looked.runs, launcher, console, work.retries).carry_out()
    write_study(grid, placed, placed[0].folder.parent)
    with console.status("scoring every labeled image"):
        return score(placed)


def count_of_folds(args: Sequence[str]) -> int:
    """The number of folds, after a look at the options that folds cannot go with.

    Raises:
        UserError: For the first of them, and for a data set without folds.
    """
    given = {flag: " ".join(values) for flag, values in pairs(args)}
    wanted = given["--data.folds"]
    if not wanted.isdecimal():
        raise UserError(f"option data.folds is {wanted!r}; expected a whole number, such as 5")
    options = [flag.removeprefix("--data.") for flag in given]
    name = given.get("--data", unnamed(options, next(iter(DATASETS))))
    if "folds" not in inspect.signature(source_class(name)).parameters:
        raise UserError(
            f"option data.folds is given, but data set {name} has validation images of its own; "
            "folds are for images and masks as they lie (--data.images, --data.masks)"
        )
    for option in ("fold", "split"):
        if option in options:
            raise UserError(
                f"option data.{option} is given beside data.folds, which trains every fold and "
                "holds out each labeled image once; leave one of them out"
            )
    check_folds(int(wanted), 1, given.get("--data.val"))
    return int(wanted)


def grid_of_folds(asked: Asked, folds: int) -> Grid:
    """A row for each method, a column for each fold."""
    columns = {f"fold {number}": {"data.fold": number} for number in range(1, folds + 1)}
    return grid_for(asked)._replace(columns=columns)


def place(
    asked: Asked, folds: int, planned: Sequence[Planned], forecasts: Sequence[Forecast]
) -> list[Planned]:
    """Choose the folder around the runs: that was asked for, else the first that fits them.

    A folder fits where no run in it is another one, so that what was begun before goes on.
    """
    label = asked.method.rpartition(".")[2]
    stem = f"{forecasts[0].data['name']}-{label}-folds{folds}-seed{asked.seed}"
    places: Iterable[Path] = names(Path("runs") / stem) if asked.out is None else [asked.out]
    several = ([in_folder(run, folder / run.folder.name) for run in planned] for folder in places)
    return next(runs for runs in several if asked.out is not None or _fits(runs, forecasts))


def _fits(placed: Sequence[Planned], forecasts: Sequence[Forecast]) -> bool:
    try:
        for run, forecast in zip(placed, forecasts, strict=True):
            check_run_state(run, forecast)
    except UserError:
        return False
    return True


def score(placed: Sequence[Planned]) -> CrossValidation:
    """Score the last steps of all runs on the images that they held out, and compare methods.

    Args:
        placed: Finished runs of one folder, those of each method in the order of the folds.
    """
    folder = placed[0].folder.parent
    runs = dict[str, list[Run]]()
    for one in placed:
        runs.setdefault(one.row, []).append(Run(one.folder))
    counts = {row: [count_images(run) for run in several] for row, several in runs.items()}
    found = CrossValidation(
        folder=folder,
        images=tuple(len(images) for images in next(iter(counts.values()))),
        scores={row: _scores(several[0], counts[row]) for row, several in runs.items()},
    )
    if len(runs) > 1:
        verdict = _verdict(found, runs, counts)
        write_verdict(folder, verdict)
        found = replace(found, verdict=verdict)
    write_scores(found)
    return found


def _scores(run: Run, counts: Sequence[Tensor]) -> FoldScores:
    """Of a method, from the (N, 3, C) counts of each fold."""
    missing = run.summary["evaluation"]["missing_classes"]
    every = torch.cat(list(counts))
    pooled = paired_bootstrap(every, every, missing)
    folds = (float(mean_iou(fold.double().sum(0), missing)) for fold in counts)
    return FoldScores(
        network=run.summary["predictor"],
        folds=tuple(100 * miou for miou in folds),
        pooled=100 * pooled.ours,
        interval=(100 * pooled.score[0], 100 * pooled.score[1]),
    )


def _verdict(
    found: CrossValidation,
    runs: Mapping[str, Sequence[Run]],
    counts: Mapping[str, Sequence[Tensor]],
) -> Verdict:
    """The comparison over the images of all folds; advice is from where the method lost most."""
    (ours, theirs), (mine, others) = runs.values(), counts.values()
    whole = compare(ours[0], theirs[0], torch.cat(list(mine)), torch.cat(list(others)))
    steps, versus_steps = (max(run.summary["steps"] for run in each) for each in (ours, theirs))
    verdict = replace(
        whole,
        folder=str(found.folder),
        versus_folder=str(found.folder),
        folds=len(ours),
        steps=steps,
        versus_steps=versus_steps,
    )
    if verdict.helped:
        return verdict
    causes: tuple[str, ...] = ()
    if verdict.versus == SUPERVISED:
        gains = [a - b for a, b in zip(*(one.folds for one in found.scores.values()), strict=True)]
        worst = gains.index(min(gains))
        causes = advice(ours[worst], theirs[worst], verdict.images, worse=True)
    return replace(verdict, advice=causes if verdict.helped is False else (*causes[:1], MORE))
