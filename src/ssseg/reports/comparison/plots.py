"""The plots of a report."""

import io
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from statistics import mean, stdev
from typing import TYPE_CHECKING, Any, NamedTuple

from ssseg.reports.comparison.collect import RunEntry
from ssseg.reports.comparison.comparability import LABELS
from ssseg.reports.comparison.grouping import REFERENCE, ComparisonTable, families

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK = "#5b6672"
"""Of text and lines: readable on light and dark; the page replaces it by its own color."""
COLORS = ("#5f7f9f", "#e07b39", "#3d9a6a", "#b0569c", "#c9a227", "#3f8fd6", "#d0524f", "#8a6fd1")
DASHES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (1.5, 1.5)), (0, (6, 1.5, 1.5, 1.5)))
WIDTH, HEIGHT = 4.6, 3.0
Curve = Sequence[tuple[float, float]]


class Plot(NamedTuple):
    """A figure with its title and caption."""

    title: str
    figure: "Figure"
    caption: str


def plots(table: ComparisonTable) -> dict[str, Plot]:
    """The plots of a table, by name for files."""
    out = {"scores": _scores(table)}
    found = {
        "curves": (_history, "validation mIoU during training, %", "mIoU"),
        "trusted": (_logged("trusted"), "trusted share of pseudo-labels, %", "trusted share"),
        "accuracy": (_logged("accuracy"), "accuracy of pseudo-labels, %", "accuracy"),
    }
    for name, (read, title, short) in found.items():
        curves = {row.label: [c for e in row.entries if (c := read(e))] for row in table.rows}
        if any(curves.values()):
            missing = [row.label for row in table.rows if not curves[row.label]]
            said = f"Thin: each seed; thick: their mean. No {short} recorded for: "
            caption = said + ", ".join(missing) + "." if missing else said.split(" No ")[0]
            out[name] = Plot(title, curves_of(curves, title), caption)
    return out


def missing_plots(table: ComparisonTable) -> list[str]:
    """Curves that no run of a table has recorded."""
    names = {"trusted": "trusted share", "accuracy": "accuracy of pseudo-labels"}
    entries = [entry for row in table.rows for entry in row.entries]
    return [said for name, said in names.items() if not any(map(_logged(name), entries))]


def labels_plot(tables: Sequence[ComparisonTable]) -> dict[str, Plot]:
    """How mIoU grows with labels, over tables that are alike in all else."""
    out: dict[str, Plot] = {}
    for family in families(tables, LABELS):
        series: dict[str, dict[int, list[float]]] = {}
        for row in family:
            count = row.entries[0].get("data.labeled")
            if isinstance(count, int):
                series.setdefault(row.name, {}).setdefault(count, []).extend(row.last.values())
        counts = sorted({count for points in series.values() for count in points})
        if len(counts) > 1:
            name = "labels" if not out else f"labels-{len(out) + 1}"
            title = f"mIoU over labeled images, %: {family[0].settings['data set']}"
            caption = "Last step of the network that the method predicts with; mean and standard "
            caption += "deviation over all runs with as many labels."
            out[name] = Plot(title, over_labels(series, counts, title), caption)
    return out


def _history(entry: RunEntry) -> Curve:
    name = entry.predictor
    return [(p["step"], 100 * p[name]) for p in entry.summary["history"] if name in p]


def _logged(what: str) -> Callable[[RunEntry], Curve]:
    """A curve from metrics.csv: the column `train/...` whose name ends so."""

    def read(entry: RunEntry) -> Curve:
        rows = entry.metrics
        columns = {n: None for row in rows for n in row if re.fullmatch(rf"train/.*{what}", n)}
        if not columns:
            return []
        column = min(columns, key=len)
        return [(row["step"], 100 * row[column]) for row in rows if column in row and "step" in row]

    return read


def _scores(table: ComparisonTable) -> Plot:
    title = "mIoU at the last step, %"
    caption = "A dot per seed; the bar is the mean, the whisker the standard deviation."
    if any(row.method == REFERENCE for row in table.rows) and not table.mixed:
        caption += f" Dotted: mean of {REFERENCE}."
    return Plot(title, dots(table, title), caption)


def files(named: Iterable[tuple[str, Plot]]) -> dict[str, bytes]:
    """Every plot as PNG and SVG."""
    out: dict[str, bytes] = {}
    for name, plot in named:
        file = io.BytesIO()
        plot.figure.savefig(file, format="png", dpi=160, facecolor="white")
        out[f"{name}.png"] = file.getvalue()
        out[f"{name}.svg"] = svg(plot.figure).encode()
    return out


def _new(height: float = HEIGHT) -> "tuple[Figure, Axes]":
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(INK)
    axes.tick_params(labelsize=8, colors=INK)
    axes.grid(axis="both", color=INK, alpha=0.18, lw=0.6)
    return figure, axes


def without_formulas(draw: Callable[..., "Figure"]) -> Callable[..., "Figure"]:
    """A drawing function whose labels may be any text: a dollar sign in them begins no formula."""

    def drawn(*args: Any) -> "Figure":
        from matplotlib import rc_context

        with rc_context({"text.parse_math": False}):
            return draw(*args)

    return drawn


def _style(place: int) -> dict[str, Any]:
    return {"color": COLORS[place % len(COLORS)], "ls": DASHES[place // len(COLORS) % len(DASHES)]}


@without_formulas
def dots(table: ComparisonTable, title: str) -> "Figure":
    """The last step of every seed, row under row."""
    rows = table.rows
    figure, axes = _new(
        0.9 + sum(0.22 + 0.14 * len(wrapped(row.label).split("\n")) for row in rows)
    )
    for place, row in enumerate(rows):
        values, color = list(row.last.values()), COLORS[place % len(COLORS)]
        axes.plot(values, [place] * len(values), "o", ms=4.5, color=color, alpha=0.65, mew=0)
        axes.plot([mean(values)] * 2, [place - 0.3, place + 0.3], lw=2.2, color=color)
        if len(values) > 1:
            axes.errorbar(mean(values), place, xerr=stdev(values), color=color, lw=1, capsize=2.5)
        if row.method == REFERENCE and not table.mixed:
            axes.axvline(mean(values), color=INK, lw=0.8, ls=":")
    axes.set_yticks(range(len(rows)), [wrapped(row.label) for row in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.grid(visible=False, axis="y")
    axes.margins(x=0.08)
    _title(axes, title)
    return figure


@without_formulas
def curves_of(curves: Mapping[str, Sequence[Curve]], title: str) -> "Figure":
    """Curves over steps: each seed thin, their mean thick."""
    figure, axes = _new(HEIGHT + 0.17 * _rows([label for label in curves if curves[label]]))
    for place, several in enumerate(curves.values()):
        for curve in several:
            if len(several) > 1:
                xs, ys = zip(*curve, strict=True)
                axes.plot(xs, ys, lw=0.8, alpha=0.55, **_style(place))
        middle = mean_curve(several)
        if middle:
            marker = "o" if len(middle) < 15 else ""
            xs, ys = zip(*middle, strict=True)
            axes.plot(xs, ys, lw=2, marker=marker, ms=3, **_style(place))
    _title(axes, title)
    axes.set_xlabel("step", fontsize=8, color=INK)
    _legend(figure, {label: place for place, label in enumerate(curves) if curves[label]})
    return figure


def mean_curve(curves: Sequence[Curve]) -> list[tuple[float, float]]:
    """The mean over seeds at the steps that all of them have."""
    tables = [dict(curve) for curve in curves]
    if not tables:
        return []
    shared = set(tables[0]).intersection(*tables[1:])
    return [(step, mean(table[step] for table in tables)) for step in sorted(shared)]


@without_formulas
def over_labels(
    series: Mapping[str, Mapping[int, Sequence[float]]], counts: Sequence[int], title: str
) -> "Figure":
    """Mean and standard deviation over the number of labels."""
    figure, axes = _new(HEIGHT + 0.17 * _rows(series))
    for place, points in enumerate(series.values()):
        xs = sorted(points)
        errors = [stdev(points[x]) if len(points[x]) > 1 else 0.0 for x in xs]
        ys = [mean(points[x]) for x in xs]
        axes.errorbar(xs, ys, yerr=errors, lw=2, marker="o", ms=4, capsize=2.5, **_style(place))
    axes.set_xscale("log")
    axes.set_xticks(counts, [str(count) for count in counts])
    axes.set_xticks([], minor=True)
    axes.set_xlabel("labeled images", fontsize=8, color=INK)
    _title(axes, title)
    _legend(figure, {label: place for place, label in enumerate(series)})
    return figure


def _columns(labels: Collection[str]) -> int:
    return 2 if len(labels) > 3 and max(map(len, labels)) < 24 else 1


def _rows(labels: Collection[str]) -> int:
    """How high a legend is."""
    return -(-len(labels) // _columns(labels))


def _title(axes: "Axes", title: str) -> None:
    axes.set_title(wrapped(title, 60), fontsize=9, color=INK, loc="left")


def _legend(figure: "Figure", places: Mapping[str, int]) -> None:
    from matplotlib.lines import Line2D

    # a label that begins with an underscore would be left out
    lines = [Line2D([], [], lw=2, **_style(place)) for place in places.values()]
    labels = [f" {wrapped(label, 52)}" for label in places]
    look: dict[str, Any] = {"frameon": False, "fontsize": 8, "labelcolor": INK}
    look["ncols"] = _columns(places)
    figure.legend(lines, labels, loc="outside lower left", **look)


def wrapped(text: str, width: int = 26) -> str:
    """A long label on up to three lines; what is longer ends in an ellipsis."""
    import textwrap

    lines = textwrap.wrap(text, width, max_lines=3, placeholder=" …")
    return "\n".join(lines)


def svg(figure: "Figure", unique: str = "") -> str:
    """A figure as SVG, with text as text.

    Args:
        figure: Of matplotlib.
        unique: To stand within a page: put before all ids, so that several do not clash; ink then
            is the page's.
    """
    from matplotlib import rc_context

    file = io.StringIO()
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "ssseg", "text.parse_math": False}):
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    text = file.getvalue()
    # matplotlib makes some ids of addresses in memory: the same runs would not make the same file
    made = dict.fromkeys(re.findall(r'(?:id="|href="#|url\(#)([a-z][0-9a-f]{10})\b', text))
    for place, name in enumerate(made):
        text = text.replace(name, f"shape{place}")
    if not unique:
        return text
    text = re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.DOTALL)
    text = text.replace(INK, "currentColor")
    text = re.sub(r'\bid="([^"]+)"', rf'id="{unique}-\1"', text)
    text = re.sub(r'(href="|url\()#', rf"\1#{unique}-", text)
    text = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL).replace("xlink:href", "href")
    # its size in points is a width on paper; on the page it is as wide as its place
    return re.sub(r"<svg ([^>]*?)>", lambda m: f"<svg {_attributes(m[1])}>", text, count=1)


def _attributes(given: str) -> str:
    kept = re.findall(r'(?:viewBox|version)="[^"]*"', given)
    return " ".join([*kept, 'xmlns="http://www.w3.org/2000/svg"', 'role="img"'])
