"""Rows and runs as data: for CSV, and for pandas where it is installed."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from statistics import mean, stdev
from typing import Any

from ssseg.reports.comparison.collect import RunEntry
from ssseg.reports.comparison.contents import gain_of, images_per_second
from ssseg.reports.comparison.grouping import ComparisonTable, Row
from ssseg.serialization import flatten


def of_row(table: ComparisonTable, row: Row) -> dict[str, Any]:
    """Means, standard deviations, gain and p of a row; percent."""
    out: dict[str, Any] = {"table": table.number, "method": row.label, "seeds": len(row.entries)}
    out |= {name: row.settings[name] for name in ("data set", "split hash", "labels", "steps")}
    columns = {f"{n}, last": row.scores(n) for n in table.networks}
    gain = gain_of(table, row)
    columns |= {f"{n}, test": row.tested(n) for n in table.networks if row.tested(n)}
    columns |= {"best seen": row.best, "gain": {} if gain is None else gain.differences}
    for name, by_seed in columns.items():
        values = list(by_seed.values())
        out[name] = mean(values) if values else None
        out[f"{name}, std"] = stdev(values) if len(values) > 1 else None
    out["p"] = None if gain is None else gain.p
    out["pairs"] = 0 if gain is None else len(gain.differences)
    return out


def of_run(table: ComparisonTable, row: Row, entry: RunEntry) -> dict[str, Any]:
    """Everything of a run's summary but its curve and colours."""
    left = {k: v for k, v in flatten(entry.summary).items() if k not in ("history", "data.classes")}
    gain = gain_of(table, row)
    head = {"table": table.number, "row": row.label, "folder": str(entry.folder)}
    own = {
        "images_per_second": images_per_second(entry),
        "gain": None if gain is None else gain.differences.get(entry.seed),
    }
    if entry.test is not None:
        own |= {
            f"test.{network}.{name}": value
            for network, scores in entry.test["networks"].items()
            for name, value in flatten(scores).items()
        }
    return {**head, **left, **own}


def csv_of(rows: Sequence[Mapping[str, Any]]) -> str:
    """A table in which what is no number or text is JSON; empty where there is none."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(names)
    for row in rows:
        writer.writerow([_text(row.get(name)) for name in names])
    return file.getvalue()


def _text(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, list | dict | bool) else value


def frame(rows: list[dict[str, Any]]) -> Any:
    """A pandas DataFrame if pandas is installed, else the list."""
    try:
        import pandas as pd
    except ImportError:
        return rows
    return pd.DataFrame(rows)
