"""The first look at a study, row by row as it was planned: a table and a picture."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any, NamedTuple

from rich.table import Table
from rich.text import Text

from ssseg.errors import UserError
from ssseg.reports.comparison.collect import RunEntry
from ssseg.reports.comparison.comparability import settings, unlike
from ssseg.reports.comparison.contents import spread
from ssseg.reports.comparison.grouping import REFERENCE
from ssseg.runs.run import Run


class Row(NamedTuple):
    """One row of the grid over all its seeds. mIoU in percent."""

    label: str
    runs: list[Run]
    student: list[float]
    teacher: list[float]
    """Empty for methods without a teacher."""
    best: list[float]
    """The best validation of the predictor, chosen on the images that it is reported on."""
    seconds: float
    published: float | None
    """What a paper reports for this row; not comparable unless data and budget are the paper's."""

    @property
    def method(self) -> str:
        """The name of the method."""
        name: str = self.runs[0].summary["method"]["name"]
        return name

    @property
    def last(self) -> list[float]:
        """The last step of the network that the method predicts with."""
        return self.teacher or self.student


def rows(
    runs: Sequence[tuple[str, Run]], published: Mapping[str, float | None] | None = None
) -> list[Row]:
    """Runs grouped by label, in the order in which labels first appear."""
    groups: dict[str, list[Run]] = {}
    for label, run in runs:
        if not run.summary["last"]:
            raise UserError(f"{run.folder} has no scores; a benchmark needs validation images")
        groups.setdefault(label, []).append(run)
    numbers = published or {}
    return [_row(label, group, numbers.get(label)) for label, group in groups.items()]


def _row(label: str, runs: list[Run], published: float | None) -> Row:
    summaries = [run.summary for run in runs]
    return Row(
        label,
        runs,
        _last(summaries, "student"),
        _last(summaries, "teacher"),
        [100 * s["best"][s["predictor"]]["miou"] for s in summaries],
        mean(s["seconds"] for s in summaries),
        published,
    )


def _last(summaries: list[dict[str, Any]], network: str) -> list[float]:
    return [100 * s["last"][network]["miou"] for s in summaries if network in s["last"]]


def cells(table: Sequence[Row]) -> list[list[str]]:
    """The lines of the table."""
    reference = reference_of(table)
    lines = []
    for row in table:
        gain = "-"
        if reference is not None and row is not reference:
            gain = f"{mean(row.last) - mean(reference.last):+.1f}"
        line = [row.label, spread(row.student), spread(row.teacher), gain, spread(row.best)]
        line.append(f"{row.seconds:.0f} s")
        if _has_published(table):
            line.append("-" if row.published is None else f"{row.published:.1f}")
        lines.append(line)
    return lines


def headings(table: Sequence[Row]) -> list[str]:
    """The first line of the table."""
    names = ["method", "student, last", "teacher, last", "gain", "best seen", "time"]
    return [*names, "paper"] if _has_published(table) else names


def _has_published(table: Sequence[Row]) -> bool:
    return any(row.published is not None for row in table)


def reference_of(table: Sequence[Row]) -> Row | None:
    """The supervised row, which all gains refer to."""
    return next((row for row in table if row.method == REFERENCE), None)


def terminal_table(table: Sequence[Row], column: str = "") -> Table:
    """For the terminal."""
    out = Table(*headings(table), title=Text(title(table, column)))
    for line in cells(table):
        out.add_row(*map(Text, line))
    return out


def markdown(table: Sequence[Row], column: str = "") -> str:
    """For documents."""
    names = headings(table)
    lines = [title(table, column), "", "| " + " | ".join(names) + " |", "|---" * len(names) + "|"]
    for line in cells(table):
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |")
    return "\n".join([*lines, "", footnote(table), ""])


def title(table: Sequence[Row], column: str = "") -> str:
    """What was compared."""
    summary = table[0].runs[0].summary
    data, seeds = summary["data"], len(table[0].runs)
    return (
        f"{column}: "
        * bool(column)
        + f"mIoU in % on {data['name']} ({data['val']} validation images): "
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
        + " `paper`: the paper's number, with the paper's data and budget." * _has_published(table)
        + _warning(table)
    )


def _warning(table: Sequence[Row]) -> str:
    """What a fair comparison would have alike in all rows, and this one has not."""
    fields = unlike(
        settings(RunEntry(run.folder, run.summary)) for row in table for run in row.runs
    )
    if not fields:
        return ""
    return (
        f" Rows are not alike in {', '.join(fields)}; the page in `report` has them in tables of "
        "their own."
    )


def picture(table: Sequence[Row], path: Path, column: str = "", images: int = 4) -> None:
    """A PNG: scores, learning curves, and every method's answer to the same images."""
    import matplotlib.image as reading
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    figure = Figure(figsize=(11, 4.4 + 1.35 * images), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title(table, column), fontsize=10)
    heights = [3.6, 1.35 * images, 0.4]
    above, below, key = figure.subfigures(3, 1, height_ratios=heights, squeeze=False)[:, 0]
    bars, curves = above.subplots(1, 2)
    colors = {row.label: f"C{number}" for number, row in enumerate(table)}
    for place, row in enumerate(table):
        error = stdev(row.last) if len(row.last) > 1 else None
        drawn = bars.bar(place, mean(row.last), color=colors[row.label], yerr=error, capsize=3)
        bars.bar_label(drawn, fmt="%.1f", padding=2, fontsize=8)
        for number, run in enumerate(row.runs):
            network = run.summary["predictor"]
            steps = [point["step"] for point in run.history]
            values = [100 * point[network] for point in run.history]
            label = row.label if number == 0 else None
            curves.plot(steps, values, "-o", ms=3, color=colors[row.label], label=label)
    reference = reference_of(table)
    if reference is not None:
        bars.axhline(mean(reference.last), color="grey", lw=0.8, ls=":")
    bars.set_xticks(range(len(table)), [row.label for row in table], fontsize=8)
    bars.set_ylim(0, 1.15 * max(mean(row.last) for row in table))
    bars.set_title(f"last step, mIoU % (dotted: {REFERENCE})", fontsize=9)
    curves.set_title("during training, mIoU %", fontsize=9)
    curves.set_xlabel("step", fontsize=8)
    curves.legend(fontsize=8)
    for axis in (bars, curves):
        axis.spines[["top", "right"]].set_visible(False)
        axis.tick_params(labelsize=8)

    columns = [("input", table[0].runs[0], "input"), ("truth", table[0].runs[0], "truth")]
    columns += [(row.label, row.runs[0], row.runs[0].summary["predictor"]) for row in table]
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
