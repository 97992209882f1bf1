"""`ssseg benchmark`: methods side by side with one budget, ending in a table and a picture."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from ssseg.benchmark.grid import plan
from ssseg.benchmark.report import footnote, markdown, picture, rows, terminal_table
from ssseg.benchmark.runner import carry_out
from ssseg.errors import UserError
from ssseg.run import Run


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> None:  # type: ignore[override]
        raise UserError(f"{message}; see ssseg benchmark --help")


def parser() -> argparse.ArgumentParser:
    """The options of the verb; all others go to every `ssseg fit`."""
    out = _Parser(
        prog="ssseg benchmark",
        description="Train methods side by side with the same split, network and number of steps. "
        "All further options go to every `ssseg fit`; an option that starts with a method's name "
        "(--classmix.threshold 0.9) goes to that method alone.",
        allow_abbrev=False,
    )
    out.add_argument("--methods", required=True, help="names, separated by commas")
    out.add_argument("--seeds", default="1", help="how many (from 0), or a list such as 3,4,5")
    out.add_argument("--out", default="runs/benchmark", help="folder of the study")
    out.add_argument("--jobs", type=int, default=1, help="runs at once")
    return out


def benchmark(args: Sequence[str]) -> int:
    """Carry out the verb; 0 when every run finished."""
    given, options = parser().parse_known_args(args)
    console = Console()
    out = Path(given.out)
    study = plan(given.methods.split(","), _seeds(given.seeds), out, options)
    done = carry_out(study, given.jobs, console)
    table = rows([Run(planned.folder) for planned in done])
    picture(table, out / "comparison.png")
    (out / "comparison.md").write_text(markdown(table), encoding="utf-8")
    console.print()
    console.print(terminal_table(table))
    console.print(footnote(table), highlight=False)
    console.print(f"\npicture  {out / 'comparison.png'}\ntable    {out / 'comparison.md'}")
    return 0


def _seeds(text: str) -> list[int]:
    try:
        numbers = [int(part) for part in text.split(",")]
    except ValueError as error:
        raise UserError(f"option seeds is {text!r}; expected a count or a list like 3,4") from error
    return numbers if "," in text else list(range(numbers[0]))
