"""Groups runs into rows (one per method and options) and rows into comparable tables."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from ssseg.reports.comparison.collect import LeftOut, RunEntry, get
from ssseg.reports.comparison.comparability import (
    Settings,
    names_of,
    rows_of,
    settings,
    unlike,
    value_of,
)
from ssseg.reports.comparison.significance import BySeed

REFERENCE = "supervised"


class Row(NamedTuple):
    """One row: a method with its options, over its seeds."""

    label: str
    """Within its table, of this row alone."""
    entries: Sequence[RunEntry]
    settings: Settings
    name: str
    """The same in every table."""

    @property
    def method(self) -> str:
        """The name of the method."""
        return self.entries[0].method

    @property
    def predictor(self) -> str:
        """The network that it predicts with."""
        return self.entries[0].predictor

    @property
    def published(self) -> float | None:
        """What a paper reports for it, in percent; not comparable unless data and budget are."""
        return self.entries[0].published

    def scores(self, network: str, when: str = "last", *keys: str) -> BySeed:
        """mIoU, or what else the scores hold, of those seeds that have it.

        Args:
            network: `student`, `teacher`, ...
            when: `last` or `best`.
            keys: Where in the scores; mIoU if not given.
        """
        return self._by_seed(lambda entry: get(entry.summary, when), network, *(keys or ("miou",)))

    def tested(self, network: str, *keys: str) -> BySeed:
        """mIoU, or what else the scores hold, on the test images at the last step."""
        return self._by_seed(
            lambda entry: None if entry.test is None else entry.test["networks"],
            network,
            *(keys or ("miou",)),
        )

    def _by_seed(self, read: Callable[[RunEntry], Any], *keys: str) -> BySeed:
        out = {}
        for entry in self.entries:
            value: Any = read(entry)
            for key in keys:
                value = value.get(key) if isinstance(value, Mapping) else None
            if value is not None:
                out[entry.seed] = 100 * value
        return out

    @property
    def last(self) -> BySeed:
        """Of the predictor, mIoU at the last step: the number to report."""
        return self.scores(self.predictor)

    @property
    def best(self) -> BySeed:
        """Of the predictor, mIoU at its best validation: no result."""
        return self.scores(self.predictor, "best")


class ComparisonTable(NamedTuple):
    """Rows whose numbers may be compared with each other."""

    number: int
    rows: Sequence[Row]
    differs: Sequence[str]
    """Fields in which tables are unlike each other; in a mixed one, in which its rows are."""
    mixed: bool = False
    title: str = ""

    @property
    def settings(self) -> Settings:
        """Of the first row; of all, unless mixed."""
        return self.rows[0].settings

    @property
    def networks(self) -> list[str]:
        """Of all rows, in the order in which they first appear."""
        found = {n: None for row in self.rows for e in row.entries for n in e.summary["last"]}
        return list(found)

    def reference(self, row: Row) -> Row | None:
        """The supervised row that a gain refers to: one of the same settings, even in a mix.

        Of several (say, of two learning rates) the one with the same optimiser, if that is one.
        """
        alike = [a for a in self.rows if a.method == REFERENCE and a.settings == row.settings]
        if len(alike) > 1:
            alike = [a for a in alike if _optim(a) == _optim(row)]
        return alike[0] if len(alike) == 1 else None


def compare(
    entries: Sequence[RunEntry], mix: bool = False
) -> tuple[list[ComparisonTable], list[LeftOut]]:
    """Make tables of runs with equal settings.

    Args:
        entries: Finished runs.
        mix: Put all into one table, whatever they differ in.

    Returns:
        The tables, and the runs that repeat another one's row and seed.
    """
    left_out: list[LeftOut] = []
    groups: dict[str, list[RunEntry]] = {}
    for entry in entries:
        groups.setdefault(json.dumps(settings(entry), sort_keys=True), []).append(entry)
    grouped = rows_of(entries)
    names = names_of(grouped, list(groups.values()))
    parts: list[list[Row]] = []
    for group in groups.values():
        rows = []
        for name, row in zip(names, grouped, strict=True):
            once: dict[int, RunEntry] = {}
            for entry in (e for e in row if e in group):
                if entry.seed in once:
                    other = once[entry.seed].folder
                    reason = f"it repeats row {name!r} and seed {entry.seed} of {other}"
                    left_out.append(LeftOut(entry.folder, reason))
                once.setdefault(entry.seed, entry)
            if once:
                order = sorted(once.values(), key=lambda e: (str(type(e.seed)), e.seed))
                rows.append(Row(name, order, settings(order[0]), name))
        rows = _apart(rows, lambda row: row.entries[0].column)
        parts.append(sorted(rows, key=lambda row: row.method != REFERENCE))
    sets = list(dict.fromkeys(part[0].settings["data set"] for part in parts))
    parts.sort(key=lambda part: (sets.index(part[0].settings["data set"]), -_runs(part)))
    differs = unlike(part[0].settings for part in parts)
    if mix and len(parts) > 1:
        rows = _apart([row for part in parts for row in part], lambda row: _short(row, differs))
        title = "all runs, in spite of their differences"
        return [ComparisonTable(1, rows, differs, True, title)], left_out
    titles = _titles([part[0].settings for part in parts])
    numbered = enumerate(zip(parts, titles, strict=True), 1)
    return [
        ComparisonTable(n, part, differs, title=title) for n, (part, title) in numbered
    ], left_out


def _titles(tables: Sequence[Settings]) -> list[str]:
    """A different title for each table."""
    plain = []
    for one in tables:
        what = one["data set"], f"{one['labels']} labels", f"{one['steps']} steps"
        plain.append(", ".join([*what, one["network.name"]]))
    out = []
    for title, one in zip(plain, tables, strict=True):
        alike = [other for t, other in zip(plain, tables, strict=True) if t == title]
        more = [f"{name} {value_of(one, name)}" for name in unlike(alike)]
        out.append(", ".join([title, *more]))
    return out


def _runs(rows: Sequence[Row]) -> int:
    return sum(len(row.entries) for row in rows)


def nearest(
    table: ComparisonTable, tables: Sequence[ComparisonTable]
) -> tuple[ComparisonTable, list[str]] | None:
    """The table with the fewest differences from this one, and these differences."""
    others = [(o, unlike([table.settings, o.settings])) for o in tables if o is not table]
    return min(others, key=lambda pair: len(pair[1])) if others else None


def _apart(rows: Sequence[Row], more: Callable[[Row], str]) -> list[Row]:
    """Rows with labels that are unique within their table."""
    labels = [row.label for row in rows]
    out: list[Row] = []
    for row in rows:
        label = row.label
        if labels.count(label) > 1 and more(row):
            label = f"{label}, {more(row)}"
        number, wanted = 1, label
        while label in [other.label for other in out]:
            number += 1
            label = f"{wanted} [{number}]"
        out.append(row._replace(label=label))
    return out


def _short(row: Row, differs: Sequence[str]) -> str:
    """The first two differing settings of a row of a mixed table, for its label."""
    chosen = [n for n in differs if n not in ("split", "split hash")] or differs
    return ", ".join(f"{name} {value_of(row.settings, name)}"[:40] for name in chosen[:2])


def families(tables: Iterable[ComparisonTable], without: Iterable[str]) -> list[list[Row]]:
    """Groups of rows that differ only in some fields, e.g. the number of labels."""
    dropped = set(without)
    out: dict[str, list[Row]] = {}
    for row in (row for table in tables for row in table.rows):
        kept = {name: value for name, value in row.settings.items() if name not in dropped}
        out.setdefault(json.dumps(kept, sort_keys=True), []).append(row)
    return list(out.values())


def _optim(row: Row) -> Settings:
    return settings(row.entries[0], {"optim": "optim"})
