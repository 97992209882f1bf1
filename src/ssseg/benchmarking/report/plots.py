"""Which plots a report has, and of what."""

import io
import re
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from ssseg.benchmarking.report.collect import Entry
from ssseg.benchmarking.report.compare import REFERENCE, Section, families
from ssseg.benchmarking.report.drawing import Curve, curves_of, dots, over_labels, svg
from ssseg.benchmarking.report.settings import LABELS

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Plot(NamedTuple):
    """A figure, and what it says to who cannot see it."""

    title: str
    figure: "Figure"
    caption: str


def plots(section: Section) -> dict[str, Plot]:
    """The plots of a table, by name for files."""
    out = {"scores": _scores(section)}
    found = {
        "curves": (_history, "validation mIoU during training, %", "mIoU"),
        "trusted": (_logged("trusted"), "trusted share of pseudo-labels, %", "trusted share"),
        "accuracy": (_logged("accuracy"), "accuracy of pseudo-labels, %", "accuracy"),
    }
    for name, (read, title, short) in found.items():
        curves = {arm.label: [c for e in arm.entries if (c := read(e))] for arm in section.arms}
        if any(curves.values()):
            missing = [arm.label for arm in section.arms if not curves[arm.label]]
            said = f"Thin: each seed; thick: their mean. No {short} recorded for: "
            caption = said + ", ".join(missing) + "." if missing else said.split(" No ")[0]
            out[name] = Plot(title, curves_of(curves, title), caption)
    return out


def absent(section: Section) -> list[str]:
    """Curves that no run of a table has recorded."""
    names = {"trusted": "trusted share", "accuracy": "accuracy of pseudo-labels"}
    entries = [entry for arm in section.arms for entry in arm.entries]
    return [said for name, said in names.items() if not any(map(_logged(name), entries))]


def labels_plot(sections: Sequence[Section]) -> dict[str, Plot]:
    """How mIoU grows with labels, over tables that are alike in all else."""
    out: dict[str, Plot] = {}
    for family in families(sections, LABELS):
        series: dict[str, dict[int, list[float]]] = {}
        for arm in family:
            count = arm.entries[0].get("data.labeled")
            if isinstance(count, int):
                series.setdefault(arm.name, {}).setdefault(count, []).extend(arm.last.values())
        counts = sorted({count for points in series.values() for count in points})
        if len(counts) > 1:
            name = "labels" if not out else f"labels-{len(out) + 1}"
            title = f"mIoU over labeled images, %: {family[0].settings['data set']}"
            caption = "Last step of the network that the method predicts with; mean and standard "
            caption += "deviation over all runs with as many labels."
            out[name] = Plot(title, over_labels(series, counts, title), caption)
    return out


def _history(entry: Entry) -> Curve:
    name = entry.predictor
    return [(p["step"], 100 * p[name]) for p in entry.summary["history"] if name in p]


def _logged(what: str) -> Callable[[Entry], Curve]:
    """A curve from metrics.csv: the column `train/...` whose name ends so."""

    def read(entry: Entry) -> Curve:
        rows = entry.metrics
        columns = {n: None for row in rows for n in row if re.fullmatch(rf"train/.*{what}", n)}
        if not columns:
            return []
        column = min(columns, key=len)
        return [(row["step"], 100 * row[column]) for row in rows if column in row and "step" in row]

    return read


def _scores(section: Section) -> Plot:
    title = "mIoU at the last step, %"
    caption = "A dot per seed; the bar is the mean, the whisker the standard deviation."
    if any(arm.method == REFERENCE for arm in section.arms) and not section.mixed:
        caption += f" Dotted: mean of {REFERENCE}."
    return Plot(title, dots(section, title), caption)


def files(named: Iterable[tuple[str, Plot]]) -> dict[str, bytes]:
    """Every plot as PNG and SVG."""
    out: dict[str, bytes] = {}
    for name, plot in named:
        file = io.BytesIO()
        plot.figure.savefig(file, format="png", dpi=160, facecolor="white")
        out[f"{name}.png"] = file.getvalue()
        out[f"{name}.svg"] = svg(plot.figure).encode()
    return out
