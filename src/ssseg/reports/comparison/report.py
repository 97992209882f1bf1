"""The report of a comparison: tables, plots and a page, made from the files of run folders alone.

`collect` reads the runs, `comparability` says which are alike, `grouping` makes tables of them and
`significance` tests the gains. `contents` and `notes` say what is in the tables, `planned` does so
for the rows of a benchmark's grid. `table_formats`, `plots`, `picture`, `page`, `dataframe` and
`terminal` write them.
"""

import html as escaping
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssseg.errors import UserError
from ssseg.reports.comparison import contents, table_formats
from ssseg.reports.comparison import dataframe as data
from ssseg.reports.comparison.collect import LeftOut, RunEntry, collect
from ssseg.reports.comparison.grouping import ComparisonTable, compare
from ssseg.reports.comparison.notes import versions_of
from ssseg.reports.comparison.page import HOW_TO_READ, commands, comparison_page
from ssseg.reports.comparison.picture import picture
from ssseg.reports.comparison.planned import grid_columns, planned_scores
from ssseg.reports.comparison.plots import Plot, files, labels_plot, plots
from ssseg.runs.paths import as_path, slug
from ssseg.runs.run import Run

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Report:
    """Runs side by side; in a notebook it shows its page.

    Args:
        entries: Finished runs.
        left_out: Runs without numbers, which are listed with their reason.
        mix: Put rows into one table that are not alike, and mark where they are not.
    """

    def __init__(self, entries: Sequence[RunEntry], left_out: Sequence[LeftOut], mix: bool) -> None:
        self.entries = list(entries)
        self.tables, repeated = compare(self.entries, mix)
        self.left_out = [*left_out, *repeated]
        self.columns = grid_columns(self.entries)

    @property
    def table(self) -> Any:
        """One row per method and table: means, standard deviations, gain, p. Percent.

        A pandas DataFrame if pandas is installed (`pip install "ssseg[notebook]"`), else a list of
        dictionaries.
        """
        return data.frame([data.of_row(s, row) for s in self.tables for row in s.rows])

    @property
    def runs(self) -> Any:
        """One row per run with everything that its summary holds; scores are shares in [0, 1]."""
        return data.frame(self._runs)

    @cached_property
    def _runs(self) -> list[dict[str, Any]]:
        return [
            data.of_run(table, row, entry)
            for table in self.tables
            for row in table.rows
            for entry in row.entries
        ]

    @cached_property
    def plots(self) -> dict[int, dict[str, Plot]]:
        """Plots by number of the table and name; those of table 0 are over several tables."""
        return {0: labels_plot(self.tables), **{s.number: plots(s) for s in self.tables}}

    @property
    def figures(self) -> "dict[str, Figure]":
        """The plots as matplotlib figures, by the names of their files."""
        return {name: plot.figure for name, plot in self._named()}

    def _named(self, table: ComparisonTable | None = None) -> list[tuple[str, Plot]]:
        out = []
        for number, group in self.plots.items():
            if table is not None and number != table.number:
                continue
            tail = f"-{number}" if number and len(self.tables) > 1 else ""
            out += [(f"{name}{tail}", plot) for name, plot in group.items()]
        return out

    def markdown(self) -> str:
        """All tables for documents."""
        parts = ["# Report of a comparison\n"]
        for table in self.tables:
            if len(self.tables) > 1:
                parts.append(f"## Table {table.number}: {table.title}\n")
            parts += [table_formats.markdown(printed) for printed in self._printed(table)]
            parts += [f"![{plot.title}]({name}.png)\n" for name, plot in self._named(table)]
            parts.append("To repeat it:\n\n```sh")
            parts += [line for row in table.rows for line in commands(row)]
            parts.append("```\n")
            parts += [f"Versions: {line}\n" for line in versions_of(table)]
        parts += [f"![{plot.title}]({name}.png)\n" for name, plot in self.plots[0].items()]
        if self.left_out:
            parts.append("## Runs that are in no table\n")
            parts += [f"- {one.folder}: {one.reason}" for one in self.left_out]
            parts.append("")
        parts.append("## How to read it\n")
        return "\n".join([*parts, *(f"- {line}" for line in HOW_TO_READ), ""])

    def latex(self) -> str:
        """All tables for papers."""
        all_tables = [printed for table in self.tables for printed in self._printed(table)]
        head = "% needs \\usepackage{booktabs}; bold: see the rule in report.html\n"
        return head + "\n".join(map(table_formats.latex, all_tables))

    def csv(self) -> str:
        """One row per run, every number of its summary; what is no number or text is JSON."""
        return data.csv_of(self._runs)

    def html(self) -> str:
        """The page."""
        return comparison_page(self.tables, self.left_out, self.plots)

    def _printed(self, table: ComparisonTable) -> list[table_formats.Table]:
        first = contents.scores(table, self.tables)
        found = [first, contents.tested(table), contents.classes(table)]
        found.append(contents.costs(table))
        return [printed for printed in found if printed is not None]

    def save(self, folder: str | Path) -> Path:
        """Write report.html, report.md, report.tex, runs.csv and all plots as PNG and SVG.

        Args:
            folder: Made if it is not there; files of an earlier report are written over.

        Returns:
            The path of report.html.
        """
        out = as_path(folder)
        out.mkdir(parents=True, exist_ok=True)
        texts = {
            "report.md": self.markdown(),
            "report.tex": self.latex(),
            "runs.csv": self.csv(),
            "report.html": self.html(),
        }
        encoded = {name: text.encode() for name, text in texts.items()}
        for name, content in {**encoded, **files(self._named())}.items():
            (out / name).write_bytes(content)
        return out / "report.html"

    def save_columns(self, folder: str | Path) -> list[Path]:
        """Write comparison.md and a picture for each column of a benchmark's grid.

        Args:
            folder: Of the benchmark.

        Returns:
            The paths of the pictures and of comparison.md.
        """
        out, written = as_path(folder), list[Path]()
        for column in self.columns:
            name = "-".join(part for part in ("comparison", slug(column.name)) if part)
            written.append(out / f"{name}.png")
            picture(column).savefig(written[-1], dpi=120)
        texts = [table_formats.markdown(planned_scores(column)) for column in self.columns]
        written.append(out / "comparison.md")
        written[-1].write_text("\n".join(texts), encoding="utf-8")
        return written

    def __repr__(self) -> str:
        return f"<Report of {len(self.entries)} runs, tables: {len(self.tables)}>"

    def _repr_html_(self) -> str:
        page = escaping.escape(self.html(), quote=True)
        return f'<iframe srcdoc="{page}" style="width:100%;height:800px;border:0"></iframe>'


def report(runs: str | Path | Run | Sequence[str | Path | Run], *, mix: bool = False) -> Report:
    """Runs side by side, as `ssseg report` writes them: `ssseg.report("runs/demo").save("out")`.

    Args:
        runs: Finished runs, their folders, or folders that hold such folders.
        mix: Put runs into one table that differ in data, split, labels, steps, network, sizes or
            evaluation; their cells are marked.

    Returns:
        The report: `table`, `runs`, `figures`, `save(folder)`; a notebook shows it as a page.

    Raises:
        UserError: If there is no finished run with scores.
    """
    several = [runs] if isinstance(runs, str | Path | Run) else runs
    places = [one.folder if isinstance(one, Run) else as_path(one) for one in several]
    for place in places:
        if not place.is_dir():
            raise UserError(f"there is no folder {place}; expected a run's, or one that holds runs")
    entries, left_out = collect(places)
    if not entries:
        said = "; ".join(f"{one.folder}: {one.reason}" for one in left_out[:3])
        where = ", ".join(map(str, places)) or "no folder"
        hint = f" ({said})" if said else "; expected folders that `ssseg fit` left"
        raise UserError(f"no finished run with scores in {where}{hint}")
    return Report(entries, left_out, mix)
