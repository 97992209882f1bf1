"""A benchmark in one picture: scores, learning curves, and all methods on the same images."""

from statistics import mean, stdev
from typing import TYPE_CHECKING

from ssseg.reports.comparison.grouping import REFERENCE
from ssseg.reports.comparison.planned import GridColumn
from ssseg.reports.comparison.plots import without_formulas

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure


@without_formulas
def picture(column: GridColumn, images: int = 4) -> "Figure":
    """The picture of a column of the grid.

    Args:
        column: Its rows, in the order of the grid.
        images: Validation images of which the first seed of each row kept predictions.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.4 + 1.35 * images), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(column.title, fontsize=10)
    heights = [3.6, 1.35 * images, 0.4]
    above, below, key = figure.subfigures(3, 1, height_ratios=heights, squeeze=False)[:, 0]
    bars, curves = above.subplots(1, 2)
    _bars(bars, column)
    _curves(curves, column)
    for axes in (bars, curves):
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=8)
    _predictions(below, column, images)
    _classes(key, column)
    return figure


def _bars(axes: "Axes", column: GridColumn) -> None:
    """The last step of each row, with the standard deviation over its seeds."""
    for place, row in enumerate(column.rows):
        last = list(row.last.values())
        error = stdev(last) if len(last) > 1 else None
        drawn = axes.bar(place, mean(last), color=f"C{place}", yerr=error, capsize=3)
        axes.bar_label(drawn, fmt="%.1f", padding=2, fontsize=8)
    if column.reference is not None:
        axes.axhline(mean(column.reference.last.values()), color="grey", lw=0.8, ls=":")
    axes.set_xticks(range(len(column.rows)), [row.label for row in column.rows], fontsize=8)
    axes.set_ylim(0, 1.15 * max(mean(row.last.values()) for row in column.rows))
    axes.set_title(f"last step, mIoU % (dotted: {REFERENCE})", fontsize=9)


def _curves(axes: "Axes", column: GridColumn) -> None:
    """The validations of every seed."""
    for place, row in enumerate(column.rows):
        for number, entry in enumerate(row.entries):
            history = entry.summary["history"]
            steps = [point["step"] for point in history]
            values = [100 * point[entry.predictor] for point in history]
            label = row.label if number == 0 else None
            axes.plot(steps, values, "-o", ms=3, color=f"C{place}", label=label)
    axes.set_title("during training, mIoU %", fontsize=9)
    axes.set_xlabel("step", fontsize=8)
    axes.legend(fontsize=8)


def _predictions(figure: "SubFigure", column: GridColumn, images: int) -> None:
    """Some validation images, their truth, and what the first seed of each row predicts."""
    import matplotlib.image as reading

    first = column.rows[0].entries[0]
    shown = [("input", first, "input"), ("truth", first, "truth")]
    shown += [(row.label, row.entries[0], row.predictor) for row in column.rows]
    grid = figure.subplots(images, len(shown), squeeze=False)
    for place, (heading, entry, name) in enumerate(shown):
        grid[0, place].set_title(heading, fontsize=9)
        for number in range(images):
            axes = grid[number, place]
            axes.set_axis_off()
            tile = entry.folder / "samples" / "tiles" / f"{name}_{number}.png"
            if tile.is_file():
                axes.imshow(reading.imread(tile), interpolation="nearest")


def _classes(figure: "SubFigure", column: GridColumn) -> None:
    """The colours of the classes."""
    from matplotlib.patches import Patch

    classes = column.rows[0].entries[0].summary["data"]["classes"]
    patches = [Patch(color="#" + bytes(one["color"]).hex(), label=one["name"]) for one in classes]
    figure.legend(handles=patches, ncols=len(patches), loc="center", fontsize=8, frameon=False)
