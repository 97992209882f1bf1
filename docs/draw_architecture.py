"""Draws docs/images/architecture.png from the imports themselves, so that it cannot go stale.

`python docs/draw_architecture.py` prints how many arrows there are between the packages and modules
of the top level. Two kinds of arrows are counted but not drawn: those that follow from a longer
path of arrows, and those into the three lowest rows, which everything above may import.
"""

from configparser import ConfigParser
from pathlib import Path

import grimp
from matplotlib.figure import Figure

ROOT = Path(__file__).parents[1]
ABOUT = {
    "api": "the verbs as\nPython functions",
    "cli": "the command line",
    "benchmarking": "many runs",
    "reports": "pages and tables",
    "exporting": "ONNX, torch.export,\nsafetensors",
    "datacheck": "what the doctor\nlooks at",
    "training": "LightningModule,\ncallbacks, resume",
    "prediction": "a trained network\nto use",
    "testing": "check_method()",
    "viz": "pictures",
    "methods": "one file per method",
    "data": "data sets, splits,\ntransforms, batches",
    "evaluation": "inference, mIoU",
    "models": "encoders, decoders,\nEMA",
    "losses": "functions",
    "ops": "masks, mixing",
    "types": "Batch, Step",
    "serialization": "objects as\nplain data",
    "runs": "a run's folder",
    "distributed": "rank, world size",
    "seeding": "the seed of\nevery draw",
    "errors": "UserError",
    "version": "",
}


def layers() -> list[list[str]]:
    """The top level as setup.cfg orders it, top first."""
    config = ConfigParser()
    config.read(ROOT / "setup.cfg")
    lines = config["importlinter:contract:layers"]["layers"].split("\n")
    rows = [[name.strip().removeprefix("ssseg.") for name in line.split("|")] for line in lines]
    return [row for row in rows if row != [""] and row != ["__main__"]]


def arrows() -> set[tuple[str, str]]:
    """Which part of the top level imports which other one."""
    graph = grimp.build_graph("ssseg", cache_dir=None)
    found = set()
    for module in graph.modules:
        for imported in graph.find_modules_directly_imported_by(module):
            ends = [name.split(".")[1] for name in (module, imported) if "." in name]
            if len(ends) == 2 and ends[0] != ends[1]:
                found.add((ends[0], ends[1]))
    return found


def without_detours(found: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """The arrows that no longer path of arrows implies."""
    after: dict[str, set[str]] = {}
    for one, other in found:
        after.setdefault(one, set()).add(other)

    def reaches(start: str, end: str) -> bool:
        todo, seen = [start], set()
        while todo:
            for other in after.get(todo.pop(), set()) - seen:
                if other == end:
                    return True
                seen.add(other)
                todo.append(other)
        return False

    return {
        (one, other)
        for one, other in found
        if not any(reaches(between, other) for between in after[one] - {other})
    }


def draw(rows: list[list[str]], shown: set[tuple[str, str]]) -> Figure:
    """Boxes in rows, and the arrows between them."""
    width, height, across, down = 1.7, 0.62, 2.5, 1.15
    figure = Figure(figsize=(13, 1.0 * len(rows) + 1), layout="constrained")
    axes = figure.subplots()
    place = {}
    for number, row in enumerate(rows):
        for column, name in enumerate(row):
            x, y = (column - (len(row) - 1) / 2) * across, -number * down
            place[name] = (x, y)
            axes.add_patch(_box(x, y, width, height))
            axes.text(x, y + 0.13, name, ha="center", va="center", fontsize=10, weight="bold")
            axes.text(x, y - 0.1, ABOUT.get(name, ""), ha="center", va="center", fontsize=6.5)
    for one, other in sorted(shown):
        if one in place and other in place:
            (x, y), (u, v) = place[one], place[other]
            axes.annotate(
                "",
                (u, v + height / 2),
                (x, y - height / 2),
                arrowprops={"arrowstyle": "->", "color": "#5b6672", "lw": 0.8, "alpha": 0.8},
                zorder=0,
            )
    axes.set_axis_off()
    axes.autoscale_view()
    axes.margins(0.02)
    return figure


def _box(x: float, y: float, width: float, height: float):  # noqa: ANN202
    from matplotlib.patches import FancyBboxPatch

    return FancyBboxPatch(
        (x - width / 2, y - height / 2),
        width,
        height,
        boxstyle="round,pad=0.02,rounding_size=0.08",
        facecolor="#eef3f7",
        edgecolor="#5b6672",
    )


def main() -> None:
    """Count and draw."""
    found = arrows()
    rows = layers()
    order = {name: number for number, row in enumerate(rows) for name in row}
    assert all(order[one] < order[other] for one, other in found if {one, other} <= set(order))
    common = {name for row in rows[-3:] for name in row}
    shown = {arrow for arrow in without_detours(found) if arrow[1] not in common}
    path = ROOT / "docs" / "images" / "architecture.png"
    draw(rows, shown).savefig(path, dpi=110)
    print(
        f"{len(order)} packages and modules, {len(found)} arrows between them; drawn: {path.name}"
    )


if __name__ == "__main__":
    main()
