"""The report of a comparison: tables, plots and a page, made from the files of run folders alone.

`collect` reads, `settings` and `rows` say what is alike, `compare` makes tables of it and `gains`
tests; `contents` and `notes` are the words, `tables`, `plots`, `html` and `data` write them.
"""

import html as escaping
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssseg.errors import UserError
from ssseg.reports.comparison import contents
from ssseg.reports.comparison import dataframe as data
from ssseg.reports.comparison import table_formats as tables
from ssseg.reports.comparison.collect import LeftOut, RunEntry, collect
from ssseg.reports.comparison.grouping import ComparisonTable, compare
from ssseg.reports.comparison.notes import versions_of
from ssseg.reports.comparison.page import HOW_TO_READ, commands, comparison_page
from ssseg.reports.comparison.plots import Plot, files, labels_plot, plots
from ssseg.runs.paths import as_path
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
        self.sections, repeated = compare(self.entries, mix)
        self.left_out = [*left_out, *repeated]

    @property
    def table(self) -> Any:
        """One row per method and table: means, standard deviations, gain, p. Percent.

        A pandas DataFrame if pandas is installed (`pip install "ssseg[notebook]"`), else a list of
        dictionaries.
        """
        return data.frame([data.of_row(s, arm) for s in self.sections for arm in s.arms])

    @property
    def runs(self) -> Any:
        """One row per run with everything that its summary holds; scores are shares in [0, 1]."""
        return data.frame(self._runs)

    @cached_property
    def _runs(self) -> list[dict[str, Any]]:
        rows = []
        for section in self.sections:
            for arm in section.arms:
                rows += [data.of_run(section, arm, entry) for entry in arm.entries]
        return rows

    @cached_property
    def plots(self) -> dict[int, dict[str, Plot]]:
        """Plots by number of the table and name; those of table 0 are over several tables."""
        return {0: labels_plot(self.sections), **{s.number: plots(s) for s in self.sections}}

    @property
    def figures(self) -> "dict[str, Figure]":
        """The plots as matplotlib figures, by the names of their files."""
        return {name: plot.figure for name, plot in self._named()}

    def _named(self, section: ComparisonTable | None = None) -> list[tuple[str, Plot]]:
        out = []
        for number, group in self.plots.items():
            if section is not None and number != section.number:
                continue
            tail = f"-{number}" if number and len(self.sections) > 1 else ""
            out += [(f"{name}{tail}", plot) for name, plot in group.items()]
        return out

    def markdown(self) -> str:
        """All tables for documents."""
        parts = ["# Report of a comparison\n"]
        for section in self.sections:
            if len(self.sections) > 1:
                parts.append(f"## Table {section.number}: {section.title}\n")
            parts += [tables.markdown(table) for table in self._tables(section)]
            parts += [f"![{plot.title}]({name}.png)\n" for name, plot in self._named(section)]
            parts.append("To repeat it:\n\n```sh")
            parts += [line for arm in section.arms for line in commands(arm)]
            parts.append("```\n")
            parts += [f"Versions: {line}\n" for line in versions_of(section)]
        parts += [f"![{plot.title}]({name}.png)\n" for name, plot in self.plots[0].items()]
        if self.left_out:
            parts.append("## Runs that are in no table\n")
            parts += [f"- {one.folder}: {one.reason}" for one in self.left_out]
            parts.append("")
        parts.append("## How to read it\n")
        return "\n".join([*parts, *(f"- {line}" for line in HOW_TO_READ), ""])

    def latex(self) -> str:
        """All tables for papers."""
        all_tables = [table for section in self.sections for table in self._tables(section)]
        head = "% needs \\usepackage{booktabs}; bold: see the rule in report.html\n"
        return head + "\n".join(map(tables.latex, all_tables))

    def csv(self) -> str:
        """One row per run, every number of its summary; what is no number or text is JSON."""
        return data.csv_of(self._runs)

    def html(self) -> str:
        """The page."""
        return comparison_page(self.sections, self.left_out, self.plots)

    def _tables(self, section: ComparisonTable) -> list[tables.Table]:
        first = contents.scores(section, self.sections)
        found = [first, contents.tested(section), contents.classes(section)]
        found.append(contents.costs(section))
        return [table for table in found if table is not None]

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

    def __repr__(self) -> str:
        return f"<Report of {len(self.entries)} runs, tables: {len(self.sections)}>"

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
