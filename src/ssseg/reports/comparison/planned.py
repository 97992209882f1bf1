"""The rows of a benchmark as its grid has them: a table for each column of the grid."""

from collections.abc import Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import NamedTuple

from ssseg.reports.comparison.collect import RunEntry
from ssseg.reports.comparison.comparability import settings, unlike
from ssseg.reports.comparison.contents import DASH, spread
from ssseg.reports.comparison.grouping import REFERENCE, Row
from ssseg.reports.comparison.table_formats import Cell, Table


class GridColumn(NamedTuple):
    """A column of a benchmark's grid with all its rows, whether they are alike or not."""

    name: str
    """Empty where the grid has one column only."""
    rows: Sequence[Row]

    @property
    def reference(self) -> Row | None:
        """The supervised row, which all gains of the column refer to."""
        return next((row for row in self.rows if row.method == REFERENCE), None)

    @property
    def title(self) -> str:
        """What was compared."""
        run = self.rows[0].entries[0]
        data, seeds = run.summary["data"], len(self.rows[0].entries)
        return (
            f"{self.name}: "
            * bool(self.name)
            + f"mIoU in % on {data['name']} ({data['val']} validation images): "
            f"{data['labeled']} labeled, {data['unlabeled']} unlabeled, "
            f"{run.summary['steps']} steps, {seeds} seed{'s' * (seeds > 1)}"
        )


def grid_columns(entries: Sequence[RunEntry]) -> list[GridColumn]:
    """The columns of the benchmarks that runs were made for, in their order.

    Args:
        entries: Finished runs; those of no benchmark are in no column.
    """
    found: dict[tuple[Path, str], dict[str, list[RunEntry]]] = {}
    for entry in entries:
        if entry.row is not None:
            rows = found.setdefault((entry.folder.parent, entry.column), {})
            rows.setdefault(entry.row, []).append(entry)
    return [
        GridColumn(
            name, [Row(label, runs, settings(runs[0]), label) for label, runs in rows.items()]
        )
        for (_, name), rows in found.items()
    ]


def planned_scores(column: GridColumn) -> Table:
    """Last and best mIoU, the gain over the supervised row, the time, and a paper's number."""
    published = any(row.published is not None for row in column.rows)
    head = ["method", "student, last", "teacher, last", "gain", "best seen", "time"]
    lines = []
    for row in column.rows:
        networks = [list(row.scores(name).values()) for name in ("student", "teacher")]
        seconds = mean(entry.summary["seconds"] for entry in row.entries)
        line = [row.label, *map(spread, networks), _gain(row, column.reference)]
        line += [spread(list(row.best.values())), f"{seconds:.0f} s"]
        if published:
            paper = DASH if row.published is None else f"{row.published:.1f}"
            line += [beside_paper(list(row.last.values()), row.published), paper]
        lines.append([Cell(text) for text in line])
    return Table(
        column.title,
        [*head, *["ours - paper", "paper"] * published],
        lines,
        _notes(column, published),
    )


def beside_paper(ours: Sequence[float], paper: float | None) -> str:
    """The difference of our mean to a paper's number, and whether our spread holds it.

    Args:
        ours: The scores of our seeds in percent.
        paper: The paper's number in percent, if there is one.
    """
    if not ours or paper is None:
        return DASH
    difference = mean(ours) - paper
    if len(ours) == 1:
        return f"{difference:+.1f}"
    return f"{difference:+.1f}, {'inside' if abs(difference) <= stdev(ours) else 'outside'}"


def _gain(row: Row, reference: Row | None) -> str:
    if reference is None or row is reference:
        return DASH
    return f"{mean(row.last.values()) - mean(reference.last.values()):+.1f}"


def _notes(column: GridColumn, published: bool) -> list[str]:
    """How the numbers came about, and what is not the same in all rows."""
    run = column.rows[0].entries[0].summary
    notes = [
        "gain: last step of the network that the method predicts with (the teacher where there is "
        f"one), over {REFERENCE} at the same steps. best seen is chosen on the validation images "
        f"themselves and no result. Split {run['data']['split']} ({run['data']['split_hash']}), "
        f"{run['device']}, torch {run['versions']['torch']}."
    ]
    if published:
        notes.append("paper: the paper's number, with the paper's data and budget.")
        notes.append(
            "ours - paper: the number that the gain is of; inside: it differs by no more than the "
            "standard deviation over our seeds, which needs two seeds."
        )
    fields = unlike(settings(entry) for row in column.rows for entry in row.entries)
    if fields:
        notes.append(
            f"Rows are not alike in {', '.join(fields)}; the page in `report` has them in tables "
            "of their own."
        )
    return notes
