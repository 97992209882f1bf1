"""The tables of a report in the terminal."""

from rich.console import Console
from rich.table import Table as Printed
from rich.text import Text

from ssseg.reports.comparison import contents
from ssseg.reports.comparison.planned import planned_scores
from ssseg.reports.comparison.report import Report
from ssseg.reports.comparison.table_formats import MARK, Cell, Table


def show(made: Report, console: Console) -> None:
    """The tables of scores, and the runs that are in none of them.

    Runs of a benchmark are shown in the rows and columns of its grid.
    """
    planned = [planned_scores(column) for column in made.columns]
    tables = made.tables
    for table in planned or [contents.scores(table, tables) for table in tables]:
        show_table(table, console)
    for found in map(contents.tested, tables):
        if found is not None:
            show_table(found, console)
    for one in made.left_out:
        console.print(f"left out: {one.folder}: {one.reason}", highlight=False)


def show_table(table: Table, console: Console) -> None:
    """A table with its notes."""
    printed = Printed(title=Text(table.title))
    for name in table.head:
        printed.add_column(Text(name))
    for row in table.rows:
        printed.add_row(*map(_text, row))
    console.print()
    console.print(printed)
    for note in table.notes:
        console.print(note, highlight=False)


def _text(cell: Cell) -> Text:
    return Text(cell.text + MARK * cell.marked, style="bold" if cell.bold else "")
