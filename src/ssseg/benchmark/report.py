"""What a study says: a table and a picture, made from the run folders alone."""

from collections.abc import Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any, NamedTuple

from rich.table import Table

from ssseg.errors import UserError
from ssseg.run import Run

REFERENCE = "supervised"


class Row(NamedTuple):
    """One method over all its seeds. mIoU in percent."""

    method: str
    runs: list[Run]
    student: list[float]
    teacher: list[float]
    """Empty for methods without a teacher."""
    best: list[float]
    """The best validation of the predictor, chosen on the images that it is reported on."""
    seconds: float

    @property
    def last(self) -> list[float]:
        """The last step of the network that the method predicts with."""
        return self.teacher or self.student


def rows(runs: Sequence[Run]) -> list[Row]:
    """Runs grouped by method, in the order in which methods first appear."""
    groups: dict[str, list[Run]] = {}
    for run in runs:
        if not run.summary["last"]:
            raise UserError(f"{run.folder} has no scores; a benchmark needs validation images")
        groups.setdefault(run.summary["method"]["name"], []).append(run)
    return [_row(method, group) for method, group in groups.items()]


def _row(method: str, runs: list[Run]) -> Row:
    summaries = [run.summary for run in runs]
    return Row(
        method,
        runs,
        _last(summaries, "student"),
        _last(summaries, "teacher"),
        [100 * s["best"][s["predictor"]]["miou"] for s in summaries],
        mean(s["seconds"] for s in summaries),
    )


def _last(summaries: list[dict[str, Any]], network: str) -> list[float]:
    return [100 * s["last"][network]["miou"] for s in summaries if network in s["last"]]


def cells(row: Row, reference: Row | None) -> list[str]:
    """A line of the table."""
    gain = "-"
    if reference is not None and row is not reference:
        gain = f"{mean(row.last) - mean(reference.last):+.1f}"
    return [
        row.method,
        spread(row.student),
        spread(row.teacher),
        gain,
        spread(row.best),
        f"{row.seconds:.0f} s",
    ]


HEADINGS = ("method", "student, last", "teacher, last", "gain", "best seen", "time")


def spread(values: Sequence[float]) -> str:
    """Mean and standard deviation over seeds; the value itself where there is one."""
    if not values:
        return "-"
    if len(values) == 1:
        return f"{values[0]:.1f}"
    return f"{mean(values):.1f} ± {stdev(values):.1f}"


def reference_of(table: Sequence[Row]) -> Row | None:
    """The supervised row, which all gains refer to."""
    return next((row for row in table if row.method == REFERENCE), None)


def terminal_table(table: Sequence[Row]) -> Table:
    """For the terminal."""
    reference = reference_of(table)
    out = Table(*HEADINGS, title=title(table))
    for row in table:
        out.add_row(*cells(row, reference))
    return out


def markdown(table: Sequence[Row]) -> str:
    """For documents."""
    reference = reference_of(table)
    lines = [
        f"{title(table)}",
        "",
        "| " + " | ".join(HEADINGS) + " |",
        "|---" * len(HEADINGS) + "|",
    ]
    lines += ["| " + " | ".join(cells(row, reference)) + " |" for row in table]
    return "\n".join([*lines, "", footnote(table), ""])


def title(table: Sequence[Row]) -> str:
    """What was compared."""
    summary = table[0].runs[0].summary
    data, seeds = summary["data"], len(table[0].runs)
    return (
        f"mIoU in % on {data['name']} ({data['val']} validation images): "
        f"{data['labeled']} labeled, {data['unlabeled']} unlabeled, {summary['steps']} steps, "
        f"{seeds} seed{'s' * (seeds > 1)}"
    )


def footnote(table: Sequence[Row]) -> str:
    """How the numbers came about."""
    summary = table[0].runs[0].summary
    return (
        "`gain`: last step of the network that the method predicts with (the teacher where there "
        f"is one), over {REFERENCE} at the same steps. `best seen` is chosen on the validation "
        f"images themselves and no result. Split {summary['data']['split']} "
        f"({summary['data']['split_hash']}), {summary['device']}, torch "
        f"{summary['versions']['torch']}."
    )


def picture(table: Sequence[Row], path: Path, images: int = 4) -> None:
    """A PNG: scores, learning curves, and every method's answer to the same images."""
    import matplotlib.image as reading
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    figure = Figure(figsize=(11, 4.4 + 1.35 * images), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title(table), fontsize=10)
    heights = [3.6, 1.35 * images, 0.4]
    above, below, key = figure.subfigures(3, 1, height_ratios=heights, squeeze=False)[:, 0]
    bars, curves = above.subplots(1, 2)
    colors = {row.method: f"C{number}" for number, row in enumerate(table)}
    for place, row in enumerate(table):
        error = stdev(row.last) if len(row.last) > 1 else None
        drawn = bars.bar(place, mean(row.last), color=colors[row.method], yerr=error, capsize=3)
        bars.bar_label(drawn, fmt="%.1f", padding=2, fontsize=8)
        for number, run in enumerate(row.runs):
            network = run.summary["predictor"]
            steps = [point["step"] for point in run.history]
            values = [100 * point[network] for point in run.history]
            label = row.method if number == 0 else None
            curves.plot(steps, values, "-o", ms=3, color=colors[row.method], label=label)
    reference = reference_of(table)
    if reference is not None:
        bars.axhline(mean(reference.last), color="grey", lw=0.8, ls=":")
    bars.set_xticks(range(len(table)), [row.method for row in table], fontsize=8)
    bars.set_ylim(0, 1.15 * max(mean(row.last) for row in table))
    bars.set_title(f"last step, mIoU % (dotted: {REFERENCE})", fontsize=9)
    curves.set_title("during training, mIoU %", fontsize=9)
    curves.set_xlabel("step", fontsize=8)
    curves.legend(fontsize=8)
    for axis in (bars, curves):
        axis.spines[["top", "right"]].set_visible(False)
        axis.tick_params(labelsize=8)

    columns = [("input", table[0].runs[0], "input"), ("truth", table[0].runs[0], "truth")]
    columns += [(row.method, row.runs[0], row.runs[0].summary["predictor"]) for row in table]
    grid = below.subplots(images, len(columns), squeeze=False)
    for place, (heading, run, name) in enumerate(columns):
        grid[0, place].set_title(heading, fontsize=9)
        for number in range(images):
            axis = grid[number, place]
            axis.set_axis_off()
            tile = run.folder / "samples" / "tiles" / f"{name}_{number}.png"
            if tile.is_file():
                axis.imshow(reading.imread(tile), interpolation="nearest")
    classes = table[0].runs[0].summary["data"]["classes"]
    patches = [
        Patch(color="#" + bytes(entry["color"]).hex(), label=entry["name"]) for entry in classes
    ]
    key.legend(handles=patches, ncols=len(patches), loc="center", fontsize=8, frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
