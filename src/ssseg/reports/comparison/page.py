"""The page of a report: one HTML file with all plots and images."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ssseg.reports.comparison.collect import LeftOut
from ssseg.reports.comparison.comparability import value_of
from ssseg.reports.comparison.contents import classes, costs, scores, tested
from ssseg.reports.comparison.grouping import ComparisonTable, Row
from ssseg.reports.comparison.notes import versions_of
from ssseg.reports.comparison.plots import Plot, missing_plots, svg
from ssseg.reports.comparison.table_formats import html
from ssseg.reports.html import escape, facts, image_uri, legend, skeleton

IMAGES = 4
SIDE = 256
"""Longest side of a picture on the page, in pixels."""


HOW_TO_READ = (
    "Scores are in percent, mean ± standard deviation over seeds, on the validation images, at the "
    "last step of training. That is the number to report.",
    "Best seen is the best validation of a run, chosen on the images that it is reported on: no "
    "result. It shows how much such a choice would raise the number.",
    "The gain is of the network that the method predicts with, at the last step, over the "
    "supervised run of the same seed. The test is a paired, two-sided t-test of these differences "
    "(scipy.stats.ttest_rel) from three seeds on; p-values are not corrected for the number of "
    "methods, and seeds do not cover the choice of labeled images.",
    "The highest mean of a column is bold only if it is above every other row by more than the "
    "spread: the mean difference of runs of the same seed is larger than the standard deviation "
    "of these differences, over at least three seeds in common.",
    "Rows of one method are named by the fewest options that tell them apart; runs.csv has all.",
    "Runs that differ in data, split, labels, steps, batch, network, image or crop size, or in how "
    "they are evaluated, have tables of their own. Runs with missing settings get a table of their "
    "own.",
)


def comparison_page(
    tables: Sequence[ComparisonTable],
    left_out: Sequence[LeftOut],
    figures: Mapping[int, Mapping[str, Plot]],
) -> str:
    """The page.

    Args:
        tables: The tables.
        left_out: Runs that are in none.
        figures: Plots by number of the table; those of 0 are over several tables.
    """
    runs = sum(len(row.entries) for table in tables for row in table.rows)
    seeds = {entry.seed for s in tables for row in s.rows for entry in row.entries}
    body = [
        "<h1>Report of a comparison</h1>",
        f'<p class="soft">{_count(runs, "run")}, {_count(len(seeds), "seed")}, '
        f"{_count(len(tables), 'table')}</p>",
    ]
    if len(tables) > 1:
        body += ["<p>Runs that are not alike stand in tables of their own:</p>", "<ol>"]
        for s in tables:
            said = f"{s.title}: {_count(len(s.rows), 'row')}"
            body.append(f'<li><a href="#table-{s.number}">{escape(said)}</a></li>')
        body.append("</ol>")
    body += _left_out(left_out)
    if figures.get(0):
        body += ["<h2>Over the number of labels</h2>", _plots(figures[0], "all")]
    for table in tables:
        body += _about_table(table, figures.get(table.number, {}), tables)
    body += ["<h2>How to read it</h2>", "<ul>"]
    body += [f"<li>{escape(line)}</li>" for line in HOW_TO_READ]
    body.append("</ul>")
    style = Path(__file__).with_name("style.css").read_text(encoding="utf-8")
    return skeleton("Report of a comparison", body, style)


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'s' * (number != 1)}"


def _left_out(left_out: Sequence[LeftOut]) -> Iterable[str]:
    if left_out:
        yield "<h2>Runs that are in no table</h2>"
        yield facts({str(one.folder): escape(one.reason) for one in left_out})


def _about_table(
    table: ComparisonTable, figures: Mapping[str, Plot], tables: Sequence[ComparisonTable]
) -> Iterable[str]:
    head = table.title[0].upper() + table.title[1:]
    if len(tables) > 1:
        head = f"Table {table.number}: {table.title}"
    yield f'<h2 id="table-{table.number}">{escape(head)}</h2>'
    yield html(scores(table, tables))
    found = tested(table)
    if found is not None:
        yield "<h3>Test images</h3>"
        yield html(found)
    yield _plots(figures, f"t{table.number}")
    missing = missing_plots(table)
    if missing:
        said = escape(", ".join(missing))
        yield f'<p class="soft">Not recorded by any of these runs: {said}.</p>'
    found = classes(table)
    if found is not None:
        yield "<h3>Classes</h3>"
        yield '<p class="soft">IoU in % at the last step, of the network that predicts.</p>'
        yield html(found)
    yield "<h3>Time and memory</h3>"
    yield html(costs(table))
    yield from _samples(table)
    yield "<h3>To repeat it</h3>"
    yield _origin(table)


def _plots(figures: Mapping[str, Plot], where: str) -> str:
    parts = []
    for name, plot in figures.items():
        drawn = svg(plot.figure, f"{where}-{name}")
        label = f' aria-label="{escape(plot.title)}"'
        drawn = drawn.replace("<svg", f"<svg{label}", 1)
        parts.append(f"<figure>{drawn}<figcaption>{escape(plot.caption)}</figcaption></figure>")
    return f'<div class="plots">{"".join(parts)}</div>'


def _samples(table: ComparisonTable) -> Iterable[str]:
    found = samples(table)
    if found is None:
        yield '<p class="soft">No run kept sample pictures.</p>'
        return
    yield "<h3>The same images</h3>"
    colors = {
        one["name"]: one["color"]
        for row in table.rows
        for one in row.entries[0].summary["data"]["classes"]
    }
    yield legend(colors.items())
    yield '<div class="scroll"><table class="samples"><thead><tr>'
    yield "".join(f'<th scope="col">{escape(name)}</th>' for name in found.columns)
    yield "</tr></thead><tbody>"
    for number, row in enumerate(found.rows):
        cells = []
        for name, pixels in zip(found.columns, row, strict=True):
            if pixels is None:
                cells.append("<td>-</td>")
                continue
            uri = image_uri(pixels, photograph=name == "input" and max(pixels.shape) > 128)
            alt = escape(f"image {number + 1}: {name}")
            height, width = pixels.shape[:2]
            size = f'width="{width}" height="{height}"'
            cells.append(f'<td><img src="{uri}" alt="{alt}" {size}></td>')
        yield f"<tr>{''.join(cells)}</tr>"
    yield "</tbody></table></div>"
    if found.without:
        said = ", ".join(found.without)
        yield f'<p class="soft">No pictures of the same images: {escape(said)}.</p>'


def _origin(table: ComparisonTable) -> str:
    entries = {}
    for name in ("split", "split hash", "image size", "crop size", "evaluation"):
        values = dict.fromkeys(value_of(row.settings, name) for row in table.rows)
        entries[name] = escape("; ".join(values))
    entries["versions"] = "<br>".join(map(escape, versions_of(table)))
    for row in table.rows:
        entries[row.label] = "".join(f"<p><code>{escape(c)}</code></p>" for c in commands(row))
    return facts(entries)


def commands(row: Row) -> list[str]:
    """The command that trained each seed of a row."""
    return [str(entry.summary["command"]) for entry in row.entries]


class Samples(NamedTuple):
    """Pictures of some images, (H, W, 3) uint8."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    """By image, then by column; None where there is none."""
    without: Sequence[str]
    """Rows of the table that have no such pictures, or of other images."""


def samples(table: ComparisonTable) -> Samples | None:
    """Input, truth, and what each row's first seed predicts; None where no run kept pictures."""
    first = next((row for row in table.rows if _tile(row, "truth", 0).is_file()), None)
    if first is None:
        return None
    shown = [row for row in table.rows if _same(row, first)]
    without = [row.label for row in table.rows if row not in shown]
    numbers = [n for n in range(IMAGES) if _tile(first, "truth", n).is_file()]
    sources = [(first, "input"), (first, "truth"), *((row, row.predictor) for row in shown)]
    rows = [[_read(_tile(row, name, n)) for row, name in sources] for n in numbers]
    return Samples(["input", "truth", *(row.label for row in shown)], rows, without)


def _tile(row: Row, name: str, number: int) -> Path:
    return row.entries[0].folder / "samples" / "tiles" / f"{name}_{number}.png"


def _same(row: Row, other: Row) -> bool:
    """Whether two runs predicted the same images: the pixels of their true masks are equal."""
    for number in range(IMAGES):
        mine, theirs = _read(_tile(row, "truth", number)), _read(_tile(other, "truth", number))
        if (mine is None) != (theirs is None):
            return False
        if mine is not None and (mine.shape != theirs.shape or (mine != theirs).any()):
            return False
    return True


def _read(path: Path) -> Any:
    import numpy as np
    from PIL import Image

    if not path.is_file():
        return None
    with Image.open(path) as image:
        factor = min(1.0, SIDE / max(image.size))
        size = [max(1, round(side * factor)) for side in image.size]
        photo = path.name.startswith("input")
        how = Image.Resampling.BOX if photo else Image.Resampling.NEAREST
        return np.asarray(image.convert("RGB").resize((size[0], size[1]), how))
