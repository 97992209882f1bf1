"""The table that is shown while a benchmark trains."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean

from rich.table import Table
from rich.text import Text

from ssseg.benchmarking.grid import Planned
from ssseg.runs.run import Run

ROWS = 24
"""Largest number of rows of the table; finished and waiting runs are left out first."""
NEAR = 0.1
"""Two durations are nearly the same if they differ by at most this share."""


def progress_table(plan: Sequence[Planned], states: Mapping[Path, str], slots: int) -> Table:
    """State, step, mIoU in percent, images per second and remaining time of every run.

    Args:
        plan: The runs.
        states: The state of each run, by its folder.
        slots: Number of runs at the same time, for the estimate of the remaining time.
    """
    left = time_left(plan, states, slots)
    done = sum(states[run.folder] == "finished" for run in plan)
    title = f"{done} of {len(plan)} runs finished"
    out = Table(title=title if left is None else f"{title}, about {duration(left)} left")
    for name in ("run", "state"):
        out.add_column(name)
    for name in ("step", "student", "teacher", "images/s", "left"):
        out.add_column(name, justify="right")
    for planned in shown(plan, states):
        out.add_row(*map(Text, cells(planned, states[planned.folder])))
    return out


def shown(plan: Sequence[Planned], states: Mapping[Path, str]) -> list[Planned]:
    """The runs that are shown; of many runs those that train or failed, then waiting ones."""
    if len(plan) <= ROWS:
        return list(plan)
    order = ("training", "elsewhere", "failed", "waiting", "finished")
    ranked = sorted(plan, key=lambda run: order.index(states[run.folder]))[:ROWS]
    return [run for run in plan if run in ranked]


def cells(planned: Planned, state: str) -> list[str]:
    """The table row of a run."""
    run = Run(planned.folder)
    miou = ["", ""]
    if state == "finished":
        summary = run.summary
        last = {name: scores["miou"] for name, scores in summary["last"].items()}
        rest = [str(summary["steps"]), *_percent(last), "", ""]
    elif news := run.progress:
        miou = _percent(news["miou"])
        rest = [f"{news['step']}/{news['steps']}", *miou]
        live = state in ("training", "elsewhere")
        rest += [f"{news['images_per_second']:.0f}", duration(news["seconds_left"])] * live
    else:
        rest = []
    return [planned.name, state, *rest, *[""] * (5 - len(rest))]


def _percent(miou: Mapping[str, float]) -> list[str]:
    return [f"{100 * miou[name]:.1f}" if name in miou else "" for name in ("student", "teacher")]


def time_left(plan: Sequence[Planned], states: Mapping[Path, str], slots: int) -> float | None:
    """Estimated seconds until all runs are finished; None if no run has a known speed."""
    whole, open_ends = [], []
    for planned in plan:
        state, run = states[planned.folder], Run(planned.folder)
        if state == "finished":
            whole.append(float(run.summary["seconds"]))
        elif (state in ("training", "elsewhere")) and (news := run.progress):
            open_ends.append(float(news["seconds_left"]))
            share = 1 - news["step"] / news["steps"]
            if share > 0:
                whole.append(open_ends[-1] / share)
    if not whole:
        return None
    waiting = sum(states[planned.folder] == "waiting" for planned in plan)
    return (sum(open_ends) + waiting * mean(whole)) / max(1, slots)


def durations(low: float, high: float) -> str:
    """Two durations as text: `4 to 7 min`, or one if they are nearly the same."""
    if high <= (1 + NEAR) * low or duration(low) == duration(high):
        return duration((low + high) / 2)
    (number, *unit), (_, *other) = (duration(s).split() for s in (low, high))
    alike = unit == other and len(unit) == 1  # of minutes, and not of hours and minutes
    return f"{number if alike else duration(low)} to {duration(high)}"


def duration(seconds: float) -> str:
    """Seconds as text, such as `45 s`, `12 min`, `3 h 20 min`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"
