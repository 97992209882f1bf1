"""`ssseg report`: tables, plots and a page of existing runs."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from ssseg.cli.parsing import VerbParser
from ssseg.reports.comparison.report import report
from ssseg.reports.comparison.terminal import show


def parser() -> VerbParser:
    """The options of the verb."""
    out = VerbParser(
        prog="ssseg report",
        usage="ssseg report RUNS [RUNS ...] [--out FOLDER] [--mix]",
        description="Tables (Markdown, LaTeX, CSV), plots (PNG, SVG) and one page of finished "
        "runs, from their files. Runs with different settings get separate tables.",
    )
    out.add_argument("runs", nargs="+", metavar="RUNS", help="folders of runs, or with runs inside")
    out.add_argument("--out", help="folder of the report; default RUNS/report, or runs/report")
    out.add_argument(
        "--mix",
        action="store_true",
        help="one table for runs that differ in data, split, labels, steps, network, sizes or "
        "evaluation; differing cells are marked",
    )
    return out


def report_verb(args: Sequence[str]) -> int:
    """Run `ssseg report`; returns 0 when the report is written."""
    given = parser().parse_args(args)
    made = report(given.runs, mix=given.mix)
    first = Path(given.runs[0])
    inside = len(given.runs) == 1 and not (first / "summary.json").is_file()
    default = first / "report" if inside else Path("runs/report")
    page = made.save(given.out or default)
    console = Console(markup=False, emoji=False)  # labels may contain brackets
    show(made, console)
    console.print(f"\nreport   {page}", soft_wrap=True, highlight=False)
    return 0
