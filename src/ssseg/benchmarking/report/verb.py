"""`ssseg report`: tables, plots and a page of runs that are there already."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table as Printed
from rich.text import Text

from ssseg.arguments import VerbParser
from ssseg.benchmarking.report import Report, contents, report
from ssseg.benchmarking.report.tables import MARK, Cell, Table


def parser() -> VerbParser:
    """The options of the verb."""
    out = VerbParser(
        prog="ssseg report",
        usage="ssseg report RUNS [RUNS ...] [--out FOLDER] [--mix]",
        description="Tables (Markdown, LaTeX, CSV), plots (PNG, SVG) and one page of finished "
        "runs, from their files alone. Runs that are not alike stand in tables of their own.",
    )
    out.add_argument("runs", nargs="+", metavar="RUNS", help="folders of runs, or that hold runs")
    out.add_argument("--out", help="folder of the report; default RUNS/report, or runs/report")
    out.add_argument(
        "--mix",
        action="store_true",
        help="one table for runs that differ in data, split, labels, steps, network, sizes or "
        "evaluation; differing cells are marked",
    )
    return out


def report_verb(args: Sequence[str]) -> int:
    """Carry out the verb; 0 when the report is written."""
    given = parser().parse_args(args)
    made = report(given.runs, mix=given.mix)
    first = Path(given.runs[0])
    inside = len(given.runs) == 1 and not (first / "summary.json").is_file()
    default = first / "report" if inside else Path("runs/report")
    page = made.save(given.out or default)
    console = Console(markup=False, emoji=False)  # labels are no markup
    show(made, console)
    console.print(f"\nreport   {page}", soft_wrap=True, highlight=False)
    return 0


def show(made: Report, console: Console) -> None:
    """The tables of scores, and what is in none of them."""
    for section in made.sections:
        show_table(contents.scores(section, made.sections), console)
        found = contents.tested(section)
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
