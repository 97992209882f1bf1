"""`ssseg benchmark`: methods side by side with one budget, ending in a table and a picture."""

import json
import shlex
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from ssseg.arguments import VerbParser
from ssseg.benchmarking.comparison import footnote, markdown, picture, rows, terminal_table
from ssseg.benchmarking.grid import Grid, Planned, plan, slug
from ssseg.benchmarking.grid_file import grid_of, read_grid
from ssseg.benchmarking.report import report as report_of
from ssseg.benchmarking.report.collect import STUDY
from ssseg.benchmarking.runner import RunsFailedError, carry_out, finished
from ssseg.errors import UserError
from ssseg.run import Run


def parser() -> VerbParser:
    """The options of the verb; all others go to every `ssseg fit`."""
    out = VerbParser(
        prog="ssseg benchmark",
        usage="ssseg benchmark (GRID.yaml | --methods A,B) [options]",
        description="Train methods side by side with the same split, network and number of steps. "
        "A grid file names rows, columns and seeds (see experiments/). "
        "All further options go to every `ssseg fit`; an option that starts with a method's name "
        "(--classmix.threshold 0.9) goes to that method alone.",
    )
    out.add_argument("--methods", help="names, separated by commas")
    out.add_argument("--seeds", help="how many (from 0), or a list such as 3,4,5; default 1")
    out.add_argument("--out", help="folder of the study; default runs/ and the grid's name")
    out.add_argument("--jobs", type=int, default=1, help="runs at once")
    out.add_argument("--dry-run", action="store_true", help="list the command lines, train nothing")
    return out


def benchmark(args: Sequence[str]) -> int:
    """Carry out the verb; 0 when every run finished."""
    # by hand: argparse would take the value of any further option for the grid
    file = Path(args[0]) if args and not args[0].startswith("-") else None
    given, options = parser().parse_known_args(args if file is None else args[1:])
    if options and not options[0].startswith("-"):
        raise UserError(f"{options[0]} is no option; a grid file comes first, without --methods")
    if (file is None) == (given.methods is None):
        raise UserError("give either a grid file or --methods; see ssseg benchmark --help")
    if file is None:
        grid = grid_of(given.methods.split(","), _seeds(given.seeds or "1"), options)
    else:
        grid = read_grid(file, options)
        grid = grid if given.seeds is None else grid._replace(seeds=_seeds(given.seeds))
    out = Path(given.out or (f"runs/{file.stem}" if file else "runs/benchmark"))
    study = plan(grid, out)
    console = Console(markup=False, emoji=False)  # labels and options are no markup
    if given.dry_run:
        for planned in study:
            console.print(shlex.join(["ssseg", *planned.args]), highlight=False, soft_wrap=True)
        return 0
    try:
        done = carry_out(study, given.jobs, console)
    except RunsFailedError:
        if any(map(finished, study)):
            write_report(study, out, console)
        raise
    compare(grid, done, out, console)
    write_report(study, out, console)
    return 0


def write_report(study: Sequence[Planned], out: Path, console: Console) -> None:
    """All tables, plots and the page of what is there, in the folder `report`."""
    runs = [
        {"folder": run.folder.name, "row": run.row, "column": run.column, "seed": run.seed}
        for run in study
    ]
    (out / STUDY).write_text(json.dumps({"runs": runs}, indent=1) + "\n", encoding="utf-8")
    try:
        page = report_of(out).save(out / "report")
    except UserError as error:  # say, no run was validated
        console.print(f"no report: {error}", highlight=False)
    else:
        console.print(f"report   {page}", highlight=False, soft_wrap=True)


def compare(grid: Grid, done: Sequence[Planned], out: Path, console: Console) -> None:
    """A table for every column of the grid, in the terminal and as Markdown, and a picture."""
    texts = []
    for column in grid.columns:
        runs = [(planned.row, Run(planned.folder)) for planned in done if planned.column == column]
        published = {row: values.get(column) for row, values in grid.published.items()}
        table = rows(runs, published)
        name = "-".join(part for part in ("comparison", slug(column)) if part)
        picture(table, out / f"{name}.png", column)
        texts.append(markdown(table, column))
        console.print()
        console.print(terminal_table(table, column))
        console.print(footnote(table), highlight=False)
        console.print(f"\npicture  {out / name}.png")
    (out / "comparison.md").write_text("\n".join(texts), encoding="utf-8")
    console.print(f"table    {out / 'comparison.md'}")


def _seeds(text: str) -> list[int]:
    try:
        numbers = [int(part) for part in text.split(",")]
    except ValueError as error:
        raise UserError(f"option seeds is {text!r}; expected a count or a list like 3,4") from error
    numbers = numbers if "," in text else list(range(numbers[0]))
    if not numbers:
        raise UserError(f"option seeds is {text!r}; expected at least one seed")
    return numbers
