"""What stands in the tables of a report, in words and numbers."""

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


def scores(section: ComparisonTable, sections: Sequence[ComparisonTable] = ()) -> Table:
    """Last and best, student and teacher, and the gain over supervised."""
    networks, arms = section.networks, section.arms
    head = ["method", *(section.differs if section.mixed else ()), "seeds"]
    head += [f"{network}, last" for network in networks]
    head += [f"gain over {REFERENCE}", "paired t-test", "best seen"]
    tops = [
        None if section.mixed else outstanding([arm.scores(network) for arm in arms])
        for network in networks
    ]
    difference = apart(section, sections)
    said = [*([difference] if difference else []), *notes_of(section)]
    rows = []
    for place, arm in enumerate(arms):
        row = [Cell(arm.label), *_unlike_cells(section, arm), Cell(str(len(arm.entries)))]
        for network, top in zip(networks, tops, strict=True):
            row.append(Cell(_cell(arm.scores(network)), top == place))
        gain = gain_of(section, arm)
        row += [Cell(gain_words(gain)), Cell(test_words(gain)), Cell(_cell(arm.best))]
        rows.append(row)
    return Table(f"mIoU in %: {section.title}", head, rows, said)


def _unlike_cells(section: ComparisonTable, arm: Row) -> list[Cell]:
    """Where a mixed table's row is not as most rows are."""
    cells = []
    for name in section.differs if section.mixed else ():
        values = [value_of(other.settings, name) for other in section.arms]
        mine = value_of(arm.settings, name)
        cells.append(Cell(mine, marked=mine != max(values, key=values.count)))
    return cells


def _cell(values: BySeed) -> str:
    return spread(list(values.values()))


def tested(section: ComparisonTable) -> Table | None:
    """MIoU on the test images; None where nobody was tested."""
    networks, arms = section.networks, section.arms
    columns = {network: [arm.tested(network) for arm in arms] for network in networks}
    if not any(any(column) for column in columns.values()):
        return None
    head = ["method", *(section.differs if section.mixed else ()), "seeds"]
    head += [f"{network}, test" for network in networks]
    head += [f"gain over {REFERENCE}", "paired t-test"]
    tops = {n: None if section.mixed else outstanding(column) for n, column in columns.items()}
    rows = []
    for place, arm in enumerate(arms):
        seeds = str(len(arm.tested(arm.predictor)))
        row = [Cell(arm.label), *_unlike_cells(section, arm), Cell(seeds)]
        for network, column in columns.items():
            row.append(Cell(_cell(column[place]), tops[network] == place))
        gain = gain_of(section, arm, "test")
        rows.append([*row, Cell(gain_words(gain)), Cell(test_words(gain))])
    notes = [
        "Images that no choice was made on: the last step of every run, as `ssseg test` scores it."
    ]
    told = (get(e.test, "evaluation.protocol") for arm in arms for e in arm.entries if e.test)
    how = dict.fromkeys(str(one) for one in told)
    notes.append(f"Evaluation: {'; '.join(how)}.")
    return Table(f"mIoU on test images in %: {section.title}", head, rows, notes)


def gain_of(section: ComparisonTable, arm: Row, on: Literal["val", "test"] = "val") -> Gain | None:
    """Over the supervised runs of the same seeds; None where there are none."""
    reference = section.reference(arm)
    if reference is None or reference is arm:
        return None
    ours, theirs = (a.tested(a.predictor) if on == "test" else a.last for a in (arm, reference))
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


def classes(section: ComparisonTable) -> Table | None:
    """IoU of every class, last step of the network that the method predicts with."""
    colors: dict[str, Sequence[int]] = {}
    names: dict[str, None] = {}
    for entry in (entry for arm in section.arms for entry in arm.entries):
        for one in entry.get("data.classes") or ():
            names.setdefault(one["name"])
            colors.setdefault(one["name"], one["color"])
        names.update(dict.fromkeys(entry.summary["last"][entry.predictor].get("iou") or ()))
    rows = []
    for name in names:
        column = [arm.scores(arm.predictor, "last", "iou", name) for arm in section.arms]
        top = None if section.mixed else outstanding(column)
        cells = [Cell(_cell(values), place == top) for place, values in enumerate(column)]
        if any(column):
            rows.append([Cell(name, color=colors.get(name)), *cells])
    if not rows:
        return None
    head = ["class", *(arm.label for arm in section.arms)]
    notes = ["A dash: the class occurs neither in the truth nor in a prediction."]
    return Table(f"IoU of each class in %: {section.title}", head, rows, notes)


def images_per_second(entry: RunEntry) -> float | None:
    """Images that a run trained on, labeled and not, by all its seconds."""
    seen, seconds = entry.get("exposures.labeled"), entry.get("seconds")
    labeled = entry.get("data.batch_size")
    if not (seen and seconds and labeled):
        return None
    # a step may be of several batches; what was seen counts them all
    batches = seen * entry.get("data.labeled") / labeled
    unlabeled = 0
    if entry.get("exposures.unlabeled"):
        unlabeled = entry.get("data.unlabeled_batch_size") or 0
    return float(batches * (labeled + unlabeled) / seconds)


def costs(section: ComparisonTable) -> Table:
    """Time and memory."""
    head = ["method", "seconds", "images per second", "waiting for data", "peak memory", "device"]
    rows = []
    for arm in section.arms:
        wait = [100 * w for e in arm.entries if (w := e.get("data_wait")) is not None]
        memory = [m / 1024 for e in arm.entries if (m := e.get("peak_memory_mb"))]
        speed = [s for e in arm.entries if (s := images_per_second(e)) is not None]
        devices = dict.fromkeys(str(e.get("device") or UNKNOWN) for e in arm.entries)
        row = [arm.label, spread([s for e in arm.entries if (s := e.get("seconds"))], 0)]
        row += [spread(speed), f"{spread(wait)} %" if wait else UNKNOWN]
        row += [f"{spread(memory)} GB" if memory else UNKNOWN, "; ".join(devices)]
        rows.append([Cell(text) for text in row])
    notes = [
        "Seconds are of the whole training with its validations, and images per second are all "
        "images of all batches by these seconds. They compare only where nothing else ran beside."
    ]
    return Table(f"Cost of a run: {section.title}", head, rows, notes)
