"""Notes below a table: how it differs from others, and which of its runs differ in what."""

from collections.abc import Sequence

from ssseg.reports.comparison.comparability import (
    BESIDES,
    UNKNOWN,
    sentence,
    settings,
    unlike,
    value_of,
)
from ssseg.reports.comparison.grouping import REFERENCE, ComparisonTable, nearest
from ssseg.runs.run import Run


def apart(table: ComparisonTable, tables: Sequence[ComparisonTable]) -> str | None:
    """The differences between a table and the table with the fewest differences from it."""
    near = nearest(table, tables)
    if near is None:
        return None
    other, names = near
    if "data set" in names:
        return f"No other table is on {table.settings['data set']}."
    said = sentence(table.settings, other.settings, names)
    return f"Not in one table with table {other.number}, from which it differs in: {said}."


def versions_of(table: ComparisonTable) -> list[str]:
    """Versions and commits of the runs of a table, each once."""
    found: dict[str, None] = {}
    for entry in (entry for row in table.rows for entry in row.entries):
        said = ", ".join(f"{name} {version}" for name, version in entry.summary["versions"].items())
        commit = entry.get("commit")
        found.setdefault(f"{said}, commit {commit}" if commit else said)
    return list(found)


FINGERPRINTS = {
    "network": "did not start from the same weights",
    "labeled": "were not shown the same labeled images, augmented alike",
    "unlabeled": "were not shown the same unlabeled images, augmented alike",
}
"""Hashes that runs of one seed share, and the note for runs in which they differ."""


def _unequal_starts(table: ComparisonTable) -> list[str]:
    """Notes on runs of one seed with other initial weights or other first batches."""
    notes = []
    for name, said in FINGERPRINTS.items():
        by_seed: dict[int, dict[str, list[str]]] = {}
        for row in table.rows:
            for entry in row.entries:
                print_ = entry.get(f"fingerprints.{name}")
                if print_ is not None:
                    by_seed.setdefault(entry.seed, {}).setdefault(print_, []).append(row.label)
        odd = {seed: groups for seed, groups in by_seed.items() if len(groups) > 1}
        if odd:
            seed, groups = next(iter(odd.items()))
            whom = " and ".join(", ".join(group) for group in groups.values())
            notes.append(f"Runs of one seed {said}: {whom} (seed {seed}).")
    return notes


def notes_of(table: ComparisonTable) -> list[str]:
    """Below the table of scores."""
    notes = []
    found = table.settings
    if "split hash" not in table.differs or not table.mixed:
        how = found.get("evaluation.protocol", UNKNOWN)
        notes.append(
            f"Split {found['split']} (hash {found['split hash']}), {found['validation images']} "
            f"validation images; evaluation: {how}."
        )
    lonely = [a for a in table.rows if a.method != REFERENCE and table.reference(a) is None]
    if lonely:
        whom = "any row" if len(lonely) == len(table.rows) else ", ".join(a.label for a in lonely)
        several = [a for a in table.rows if a.method == REFERENCE]
        why = "no supervised run is alike" if several else "there is no supervised run here"
        notes.append(f"No gain can be given for {whom}: {why}.")
    seeds = [{entry.seed for entry in row.entries} for row in table.rows]
    if any(one != seeds[0] for one in seeds):
        notes.append("Rows have different seeds; gains are over the seeds that both runs have.")
    if table.mixed:
        notes.append(
            f"Mixed by request: rows differ in {', '.join(table.differs)}. † marks what is not "
            "as in most rows; gains are over a supervised run of the same settings, and nothing is "
            "bold."
        )
    notes += _unequal_starts(table)
    verdicts = [Run(entry.folder).verdict for row in table.rows for entry in row.entries]
    notes += [str(verdict) for verdict in verdicts if verdict is not None]
    runs = [settings(entry, BESIDES) for row in table.rows for entry in row.entries]
    besides = [name for name in unlike(runs) if name.partition(".")[0] != "optim"]
    if besides:
        notes.append(f"Runs also differ in: {', '.join(besides)}; see runs.csv.")
    optim = [settings(row.entries[0], {"optim": "optim"}) for row in table.rows]
    for name in unlike(optim):
        pairs = zip(table.rows, optim, strict=True)
        said = ", ".join(f"{row.label} {value_of(one, name)}" for row, one in pairs)
        notes.append(f"Rows differ in {name}: {said}.")
    return notes
