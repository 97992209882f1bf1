"""Tables as Markdown, LaTeX and HTML."""

import re
from collections.abc import Sequence
from typing import NamedTuple

from ssseg.reports.html import escape, swatch


class Cell(NamedTuple):
    """A number or a word of a table."""

    text: str
    bold: bool = False
    marked: bool = False
    """Different from most rows; in mixed tables only."""
    color: Sequence[int] | None = None
    """Of a class."""


class Table(NamedTuple):
    """Head and rows; the first column names the row."""

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    notes: Sequence[str] = ()


MARK = "†"


def markdown(table: Table) -> str:
    """For documents."""
    lines = [f"**{_md(table.title)}**", "", _line([_md(name) for name in table.head])]
    lines.append("|---" + "|---:" * (len(table.head) - 1) + "|")
    for row in table.rows:
        lines.append(_line([_bold(_md(c.text), c) for c in row]))
    lines += ["", *(f"- {_md(note)}" for note in table.notes)]
    return "\n".join(lines) + "\n"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _bold(text: str, cell: Cell) -> str:
    return (f"**{text}**" if cell.bold else text) + MARK * cell.marked


def _md(text: str) -> str:
    return re.sub(r"([\\|*_`<\[\]])", r"\\\1", " ".join(text.split()))


_TEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "±": r"$\pm$",
    MARK: r"$^\dagger$",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
}


def tex(text: str) -> str:
    """A text as LaTeX prints it."""
    return "".join(_TEX.get(sign, sign) for sign in " ".join(text.split()))


def latex(table: Table) -> str:
    r"""For papers; needs `\usepackage{booktabs}`."""
    notes = " ".join(table.notes)
    rows = []
    for row in table.rows:
        cells = []
        for cell in row:
            text = tex(cell.text)
            text = rf"\textbf{{{text}}}" if cell.bold else text
            cells.append(text + _TEX[MARK] * cell.marked)
        rows.append("  " + " & ".join(cells) + r" \\")
    return "\n".join(
        [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{tex(table.title)}. {tex(notes)}}}",
            rf"\begin{{tabular}}{{l{'r' * (len(table.head) - 1)}}}",
            r"\toprule",
            "  " + " & ".join(map(tex, table.head)) + r" \\",
            r"\midrule",
            *rows,
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
            "",
        ]
    )


def html(table: Table) -> str:
    """For the page; scrolls on its own where the page is narrower."""
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in table.head)
    rows = []
    for row in table.rows:
        first = row[0]
        color = "" if first.color is None else swatch(first.color)
        name = f'<th scope="row">{color}{escape(first.text)}{MARK * first.marked}</th>'
        cells = [f"<td>{_html(cell)}</td>" for cell in row[1:]]
        rows.append(f"<tr>{name}{''.join(cells)}</tr>")
    notes = "".join(f"<li>{escape(note)}</li>" for note in table.notes)
    return (
        f'<div class="scroll"><table class="numbers" style="--n:{len(table.head)}">'
        f"<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
        + (f'<ul class="notes">{notes}</ul>' if notes else "")
    )


def _html(cell: Cell) -> str:
    text = escape(cell.text)
    return (f"<b>{text}</b>" if cell.bold else text) + MARK * cell.marked
