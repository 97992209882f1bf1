"""The contents of a report's tables: titles, heads, cells and notes."""

from collections.abc import Sequence
from statistics import mean, stdev
from typing import Literal

from ssseg.reports.comparison.collect import RunEntry, get
from ssseg.reports.comparison.comparability import UNKNOWN, value_of
from ssseg.reports.comparison.grouping import REFERENCE, ComparisonTable, Row
from ssseg.reports.comparison.notes import apart, notes_of
from ssseg.reports.comparison.significance import LEAST, BySeed, Gain, outstanding, paired
from ssseg.reports.comparison.table_formats import Cell, Table

DASH = "-"


def spread(values: Sequence[float], digits: int = 1) -> str:
    """Mean and standard deviation; the value itself where there is one, a dash where none."""
    if not values:
        return DASH
    if len(values) == 1:
        return f"{values[0]:.{digits}f}"
    return f"{mean(values):.{digits}f} ± {stdev(values):.{digits}f}"


def scores(table: ComparisonTable, tables: Sequence[ComparisonTable] = ()) -> Table:
    """Last and best, student and teacher, and the gain over supervised."""
    networks, rows = table.networks, table.rows
    head = ["method", *(table.differs if table.mixed else ()), "seeds"]
    head += [f"{network}, last" for network in networks]
    head += [f"gain over {REFERENCE}", "paired t-test", "best seen"]
    tops = [
        None if table.mixed else outstanding([row.scores(network) for row in rows])
        for network in networks
    ]
    difference = apart(table, tables)
    said = [*([difference] if difference else []), *notes_of(table)]
    lines = []
    for place, row in enumerate(rows):
        line = [Cell(row.label), *_unlike_cells(table, row), Cell(str(len(row.entries)))]
        for network, top in zip(networks, tops, strict=True):
            line.append(Cell(_cell(row.scores(network)), top == place))
        gain = gain_of(table, row)
        line += [Cell(gain_words(gain)), Cell(test_words(gain)), Cell(_cell(row.best))]
        lines.append(line)
    return Table(f"mIoU in %: {table.title}", head, lines, said)


def _unlike_cells(table: ComparisonTable, row: Row) -> list[Cell]:
    """Where a row of a mixed table is not as most rows are."""
    cells = []
    for name in table.differs if table.mixed else ():
        values = [value_of(other.settings, name) for other in table.rows]
        mine = value_of(row.settings, name)
        cells.append(Cell(mine, marked=mine != max(values, key=values.count)))
    return cells


def _cell(values: BySeed) -> str:
    return spread(list(values.values()))


def tested(table: ComparisonTable) -> Table | None:
    """MIoU on the test images; None where no run was tested."""
    networks, rows = table.networks, table.rows
    columns = {network: [row.tested(network) for row in rows] for network in networks}
    if not any(any(column) for column in columns.values()):
        return None
    head = ["method", *(table.differs if table.mixed else ()), "seeds"]
    head += [f"{network}, test" for network in networks]
    head += [f"gain over {REFERENCE}", "paired t-test"]
    tops = {n: None if table.mixed else outstanding(column) for n, column in columns.items()}
    lines = []
    for place, row in enumerate(rows):
        seeds = str(len(row.tested(row.predictor)))
        line = [Cell(row.label), *_unlike_cells(table, row), Cell(seeds)]
        for network, column in columns.items():
            line.append(Cell(_cell(column[place]), tops[network] == place))
        gain = gain_of(table, row, "test")
        lines.append([*line, Cell(gain_words(gain)), Cell(test_words(gain))])
    notes = [
        "Images that no choice was made on: the last step of every run, as `ssseg test` scores it."
    ]
    told = (get(e.test, "evaluation.protocol") for row in rows for e in row.entries if e.test)
    how = dict.fromkeys(str(one) for one in told)
    notes.append(f"Evaluation: {'; '.join(how)}.")
    return Table(f"mIoU on test images in %: {table.title}", head, lines, notes)


def gain_of(table: ComparisonTable, row: Row, on: Literal["val", "test"] = "val") -> Gain | None:
    """The gain over the supervised runs of the same seeds; None where there are none."""
    reference = table.reference(row)
    if reference is None or reference is row:
        return None
    ours, theirs = (a.tested(a.predictor) if on == "test" else a.last for a in (row, reference))
    gain = paired(ours, theirs)
    return gain if gain.differences else None


def gain_words(gain: Gain | None) -> str:
    """Mean and standard deviation of the differences."""
    if gain is None:
        return DASH
    values = list(gain.differences.values())
    return "+" * (mean(values) >= 0) + spread(values)


def test_words(gain: Gain | None) -> str:
    """The p-value, or why there is none."""
    if gain is None:
        return DASH
    count = len(gain.differences)
    if count < LEAST:
        return f"none: {count} {'pair' if count == 1 else 'pairs'}"
    if gain.p is None:
        return f"none: {count} equal differences"
    return f"p < 0.001, n = {count}" if gain.p < 0.001 else f"p = {gain.p:.3f}, n = {count}"


def classes(table: ComparisonTable) -> Table | None:
    """IoU of every class, last step of the network that the method predicts with."""
    colors: dict[str, Sequence[int]] = {}
    names: dict[str, None] = {}
    for entry in (entry for row in table.rows for entry in row.entries):
        for one in entry.summary["data"]["classes"]:
            names.setdefault(one["name"])
            colors.setdefault(one["name"], one["color"])
        names.update(dict.fromkeys(entry.summary["last"][entry.predictor].get("iou") or ()))
    lines = []
    for name in names:
        column = [row.scores(row.predictor, "last", "iou", name) for row in table.rows]
        top = None if table.mixed else outstanding(column)
        cells = [Cell(_cell(values), place == top) for place, values in enumerate(column)]
        if any(column):
            lines.append([Cell(name, color=colors.get(name)), *cells])
    if not lines:
        return None
    head = ["class", *(row.label for row in table.rows)]
    notes = ["A dash: the class occurs neither in the truth nor in a prediction."]
    return Table(f"IoU of each class in %: {table.title}", head, lines, notes)


def images_per_second(entry: RunEntry) -> float:
    """Images that a run trained on, labeled and unlabeled, divided by all its seconds."""
    data, exposures = entry.summary["data"], entry.summary["exposures"]
    # a step may be of several batches; the exposures count them all
    batches = exposures["labeled"] * data["labeled"] / data["batch_size"]
    unlabeled = data["unlabeled_batch_size"] if exposures.get("unlabeled") else 0
    images = batches * (data["batch_size"] + unlabeled)
    return float(images / max(entry.summary["seconds"], 0.1))  # they are rounded to a tenth


def costs(table: ComparisonTable) -> Table:
    """Time and memory."""
    head = ["method", "seconds", "images per second", "waiting for data", "peak memory", "device"]
    lines = []
    for row in table.rows:
        runs = [entry.summary for entry in row.entries]
        wait = spread([100 * run["data_wait"] for run in runs])
        # where a system does not tell a process's memory, it is 0
        memory = [run["peak_memory_mb"] / 1024 for run in runs if run["peak_memory_mb"]]
        devices = dict.fromkeys(str(run["device"]) for run in runs)
        line = [row.label, spread([run["seconds"] for run in runs], 0)]
        line += [spread([images_per_second(entry) for entry in row.entries])]
        line += [f"{wait} %", f"{spread(memory)} GB" if memory else UNKNOWN, "; ".join(devices)]
        lines.append([Cell(text) for text in line])
    notes = [
        "Seconds are of the whole training with its validations, and images per second are all "
        "images of all batches by these seconds. They compare only where nothing else ran beside."
    ]
    return Table(f"Cost of a run: {table.title}", head, lines, notes)
