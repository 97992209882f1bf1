"""`ssseg fit --versus supervised`: trains two methods alike and says which one is better."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from torch import Tensor

from ssseg.benchmarking.benchmark import Work, check_runs, launcher_of
from ssseg.benchmarking.earlier_runs import earlier_run
from ssseg.benchmarking.grid import Grid, Planned, plan
from ssseg.benchmarking.grid_file import grid_of
from ssseg.benchmarking.preflight import Forecast, Forecasts, ImpossibleRunsError
from ssseg.benchmarking.run_state import run_state
from ssseg.benchmarking.runner import Runner
from ssseg.cli.aliases import expand_aliases
from ssseg.cli.train import evaluate
from ssseg.errors import UserError
from ssseg.evaluation.bootstrap import paired_bootstrap
from ssseg.methods import METHODS, USUAL, method_class
from ssseg.reports.advice import advice, more_certain
from ssseg.runs.checkpoint import each_read_once
from ssseg.runs.command import groups, pairs, with_home, without
from ssseg.runs.lock import names
from ssseg.runs.run import SPLIT, Run
from ssseg.runs.verdict import SUPERVISED, Verdict, write_verdict
from ssseg.training.callbacks.image_counts import ImageCounts

REFUSED = {
    "--resume": "type the command of these runs again, and they go on",
    "--ckpt_path": "type the command of these runs again, and they go on",
    "--config": "type its options, or write a grid with it as recipe (ssseg benchmark)",
    "--print_config": "leave the latter out to see the configuration",
}
"""Options that several runs cannot share, and what to do."""


class Asked(NamedTuple):
    """The options of several runs."""

    method: str
    versus: str | None
    """The other method; None: there is none."""
    seed: int
    out: Path | None
    own: Mapping[str, str]
    """Of the method only, by name."""
    shared: Sequence[str]
    """Of all, as typed."""


def ask(args: Sequence[str], why: str = "--versus, which trains two runs") -> Asked:
    """Take the options of `ssseg fit --versus NAME` apart.

    Args:
        args: As they are typed, without the verb.
        why: What asks for several runs, for messages.

    Raises:
        UserError: For options that several runs cannot share, and for names that are unknown.
    """
    given = {flag: " ".join(values) for flag, values in pairs(args)}
    for flag, instead in REFUSED.items():
        if flag in given:
            raise UserError(f"option {flag} is given beside {why}; {instead}")
    versus = _name_of(given["--versus"]) if "--versus" in given else None
    expand_aliases(without(args, "--versus"))
    method = _name_of(given.get("--method", USUAL))
    if method == versus:
        raise UserError(
            f"option versus is {versus}, which is the method of the run itself; name another one, "
            f"e.g. --method {USUAL} --versus {SUPERVISED}"
        )
    seed = given.get("--seed_everything", "0")
    if not seed.isdecimal():
        raise UserError(f"option seed_everything is {seed!r}; expected a whole number")
    own, shared = dict[str, str](), list[str]()
    for words, (flag, values) in zip(groups(args), pairs(args), strict=True):
        if flag.startswith("--method.") or flag == "--reference":
            own[flag.removeprefix("--")] = " ".join(values)
        elif flag not in ("--method", "--versus", "--seed_everything", "--out"):
            shared += words
    out = given.get("--out")
    return Asked(method, versus, int(seed), None if out is None else Path(out), own, shared)


def _name_of(method: str) -> str:
    """The name of a method that is given by its name or by the path of its class."""
    cls = method_class(method)
    return next((name for name in METHODS if method_class(name) is cls), method)


def grid_for(asked: Asked) -> Grid:
    """A row for each method."""
    rows = {asked.method: {"method": asked.method, **asked.own}}
    if asked.versus is not None:
        rows[asked.versus] = {"method": asked.versus}
    grid = grid_of(list(rows), [asked.seed], asked.shared, supervised=False)
    return grid._replace(rows=rows)


def plan_two(asked: Asked) -> list[Planned]:
    """The two runs, as a benchmark plans them; their folders are chosen by `place`."""
    return plan(grid_for(asked), Path("runs"))


def checked(planned: Sequence[Planned], work: Work, console: Console) -> Forecasts:
    """Check the runs before training.

    Raises:
        UserError: If runs cannot work; what is the same for all of them is said once.
    """
    try:
        return check_runs(planned, work, console)
    except ImpossibleRunsError as error:
        if error.common is not None:
            raise UserError(error.common) from error
        raise


def place(asked: Asked, planned: Sequence[Planned], forecasts: Sequence[Forecast]) -> list[Planned]:
    """Choose the folders: of a run that was trained before, that was asked for, or a free one."""
    around = Path("runs") if asked.out is None else asked.out.parent
    out = []
    for run, forecast in zip(planned, forecasts, strict=True):
        ours = run.row == asked.method
        folder = asked.out if ours else earlier_run(around, forecast, asked.seed)
        if folder is None and ours:
            folder = earlier_run(around, forecast, asked.seed)
        if folder is None and asked.out is not None:
            stem = asked.out.with_name(f"{asked.out.name}-versus-{run.row}")
            folder = _free(stem)
        if folder is None:
            label = run.row.rpartition(".")[2]
            folder = _free(around / f"{forecast.data['name']}-{label}-seed{asked.seed}")
        out.append(in_folder(run, folder))
    return out


def _free(stem: Path) -> Path:
    return next(folder for folder in names(stem) if not folder.exists())


def in_folder(run: Planned, folder: Path) -> Planned:
    """The same run there; one that was begun goes on, however its options were typed."""
    placed = run._replace(folder=folder)
    if run_state(placed) == "unfinished":
        return placed._replace(args=["fit", "--resume", str(folder)])
    first, *options = run.args
    return placed._replace(args=[first, *without(options, "--out"), "--out", str(folder)])


def fit_versus(args: Sequence[str]) -> Run:
    """Train a method and another one alike, and write the verdict into the method's run.

    Args:
        args: Options of `ssseg fit`, with `--versus NAME`.

    Returns:
        The run of the method; `run.verdict` compares it with the other one.

    Raises:
        UserError: For options that cannot work, before any training; and if a run fails.
    """
    asked = ask(with_home(args))
    console, work = Console(markup=False, emoji=False), Work()
    planned = plan_two(asked)
    looked = checked(planned, work, console)
    placed = place(asked, planned, looked.runs)
    launcher = launcher_of(placed, work, looked.gpus)
    Runner(placed, looked.runs, launcher, console, work.retries).carry_out()
    run, other = (Run(one.folder) for one in placed)
    with console.status("scoring both runs on the same images"):
        verdict = judge(run, other)
    write_verdict(run.folder, verdict)
    return run


def judge(run: Run, other: Run) -> Verdict:
    """Score the last steps of two runs on the same validation images, and compare them."""
    # images that the first run held out
    split = run.folder / SPLIT
    held = ["--data.split", str(split)] if split.is_file() else []
    verdict = compare(run, other, count_images(run, held), count_images(other, held))
    return replace(verdict, advice=_advice(verdict, run, other))


def compare(run: Run, other: Run, mine: Tensor, others: Tensor) -> Verdict:
    """The verdict on two runs, without advice.

    Args:
        run: Of the method.
        other: The run beside it.
        mine: (N, 3, C) counts of N images.
        others: The same of the other run.
    """
    ours, theirs = run.summary, other.summary
    found = paired_bootstrap(mine, others, ours["evaluation"]["missing_classes"])
    low, high = (100 * end for end in found.difference)
    return Verdict(
        method=ours["method"]["name"],
        versus=theirs["method"]["name"],
        network=ours["predictor"],
        versus_network=theirs["predictor"],
        miou=100 * found.ours,
        versus_miou=100 * found.theirs,
        difference=100 * (found.ours - found.theirs),
        interval=(low, high),
        uncertainty=50 * (found.score[1] - found.score[0]),
        images=len(mine),
        seed=ours["seed"],
        steps=ours["steps"],
        versus_steps=theirs["steps"],
        folder=str(run.folder),
        versus_folder=str(other.folder),
    )


def count_images(run: Run, held: Sequence[str] = ()) -> Tensor:
    """(N, 3, C) counts of the validation images at the last step."""
    options = ["--ckpt_path", str(run.checkpoint("last")), "--page", "false"]
    options += ["--eval.boundary", "false", "--trainer.devices", "1", *held]
    counted = ImageCounts()
    with each_read_once():
        evaluate("validate", options, [counted])
    return counted.counts


def _advice(verdict: Verdict, run: Run, other: Run) -> tuple[str, ...]:
    if verdict.helped:
        return ()
    if verdict.versus == SUPERVISED:
        return advice(run, other, verdict.images, worse=verdict.helped is False)
    if verdict.helped is None:
        return (more_certain(f"{verdict.method},{verdict.versus}", verdict.images),)
    return ()
