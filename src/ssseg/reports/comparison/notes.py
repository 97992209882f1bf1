"""What is said about a table: how it differs from others, what a reader must know."""

from collections.abc import Sequence

from ssseg.reports.comparison.comparability import (
    BESIDES,
    UNKNOWN,
    older,
    sentence,
    settings,
    unlike,
    value_of,
)
from ssseg.reports.comparison.grouping import REFERENCE, ComparisonTable, nearest


def apart(section: ComparisonTable, sections: Sequence[ComparisonTable]) -> str | None:
    """How a table differs from the one that is most like it."""
    near = nearest(section, sections)
    if near is None:
        return None
    other, names = near
    if "data set" in names:
        return f"No other table is on {section.settings['data set']}."
    said = sentence(section.settings, other.settings, names)
    return f"Not in one table with table {other.number}, from which it differs in: {said}."


def versions_of(section: ComparisonTable) -> list[str]:
    """Of the programs and sources that made a table; several where they are not the same."""
    found: dict[str, None] = {}
    for entry in (entry for arm in section.arms for entry in arm.entries):
        said = ", ".join(f"{k} {v}" for k, v in (entry.get("versions") or {}).items()) or UNKNOWN
        commit = entry.get("commit")
        found.setdefault(f"{said}, commit {commit}" if commit else said)
    return list(found)


FINGERPRINTS = {
    "network": "did not start from the same weights",
    "labeled": "were not shown the same labeled images, augmented alike",
    "unlabeled": "were not shown the same unlabeled images, augmented alike",
}
"""Of what runs of one seed should have in common, and what it means if they have not."""


def _unequal_starts(section: ComparisonTable) -> list[str]:
    """Where runs of one seed do not differ in the method alone."""
    notes = []
    for name, said in FINGERPRINTS.items():
        by_seed: dict[int | str, dict[str, list[str]]] = {}
        for arm in section.arms:
            for entry in arm.entries:
                print_ = entry.get(f"fingerprints.{name}")
                if print_ is not None:
                    by_seed.setdefault(entry.seed, {}).setdefault(print_, []).append(arm.label)
        odd = {seed: groups for seed, groups in by_seed.items() if len(groups) > 1}
        if odd:
            seed, groups = next(iter(odd.items()))
            whom = " and ".join(", ".join(group) for group in groups.values())
            notes.append(f"Runs of one seed {said}: {whom} (seed {seed}).")
    return notes


def notes_of(section: ComparisonTable) -> list[str]:
    """Below the table of scores."""
    notes = []
    found = section.settings
    if "split hash" not in section.differs or not section.mixed:
        how = found.get("evaluation.protocol", UNKNOWN)
        notes.append(
            f"Split {found['split']} (hash {found['split hash']}), {found['validation images']} "
            f"validation images; evaluation: {how}."
        )
    lonely = [a for a in section.arms if a.method != REFERENCE and section.reference(a) is None]
    if lonely:
        whom = "any row" if len(lonely) == len(section.arms) else ", ".join(a.label for a in lonely)
        several = [a for a in section.arms if a.method == REFERENCE]
        why = "no supervised run is alike" if several else "there is no supervised run here"
        notes.append(f"No gain can be given for {whom}: {why}.")
    seeds = [{entry.seed for entry in arm.entries} for arm in section.arms]
    if any(one != seeds[0] for one in seeds):
        notes.append("Rows have different seeds; gains are over the seeds that both runs have.")
    if section.mixed:
        notes.append(
            f"Mixed by request: rows differ in {', '.join(section.differs)}. † marks what is not "
            "as in most rows; gains are over a supervised run of the same settings, and nothing is "
            "bold."
        )
    notes += _unequal_starts(section)
    for arm in section.arms:
        for folder, names in older(arm.entries).items():
            notes.append(
                f"{folder} was made by a version that did not record {', '.join(names)}; it is "
                f"counted under {arm.label}."
            )
    runs = [settings(entry, BESIDES) for arm in section.arms for entry in arm.entries]
    besides = [name for name in unlike(runs) if name.partition(".")[0] != "optim"]
    if besides:
        notes.append(f"Runs also differ in: {', '.join(besides)}; see runs.csv.")
    optim = [settings(arm.entries[0], {"optim": "optim"}) for arm in section.arms]
    for name in unlike(optim):
        pairs = zip(section.arms, optim, strict=True)
        said = ", ".join(f"{arm.label} {value_of(one, name)}" for arm, one in pairs)
        notes.append(f"Rows differ in {name}: {said}.")
    return notes
