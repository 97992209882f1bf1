"""Which runs differ in their seed alone: the rows of tables, and what they are called."""

from collections.abc import Mapping, Sequence

from ssseg.benchmarking.report.collect import Entry
from ssseg.benchmarking.report.settings import OWN, recorded, words
from ssseg.recipe import flat


def rows_of(entries: Sequence[Entry]) -> list[list[Entry]]:
    """Runs that differ in the seed alone, over all tables.

    A run of an older version, without an option that others have, joins the only row that agrees in
    all else; if there are several, it stands alone.
    """
    keys = [row_key(entry) for entry in entries]
    rows: list[tuple[Mapping[str, str], list[int]]] = []
    for place in sorted(range(len(entries)), key=lambda p: -len(keys[p])):
        key = keys[place]
        same = [row for row in rows if row[0] == key]
        if not same:
            same = [row for row in rows if _agree(row[0], key)]
        if len(same) == 1:
            same[0][1].append(place)
        else:
            rows.append((key, [place]))
    ordered = sorted(rows, key=lambda row: min(row[1]))
    return [[entries[place] for place in sorted(places)] for _, places in ordered]


def row_key(entry: Entry) -> dict[str, str]:
    """What makes the row of a run; what a benchmark planned as a row is one."""
    if entry.row is not None:
        return {"row": entry.row, "column": entry.column}
    return {key: words(value) for key, value in flat(recorded(entry, OWN)).items()}


def _agree(one: Mapping[str, str], other: Mapping[str, str]) -> bool:
    common = one.keys() & other.keys()
    within = min(len(one), len(other)) == len(common)
    return "method.name" in common and within and all(one[k] == other[k] for k in common)


def older(row: Sequence[Entry]) -> dict[str, list[str]]:
    """Folders of a row whose runs did not record an option that others of it have."""
    keys = [row_key(entry) for entry in row]
    every = {name: None for key in keys for name in key}
    missing = {
        e.folder.name: [n for n in every if n not in k] for e, k in zip(row, keys, strict=True)
    }
    return {folder: names for folder, names in missing.items() if names}


def names_of(rows: Sequence[Sequence[Entry]], together: Sequence[Sequence[Entry]]) -> list[str]:
    """The row's label, or the method's name, with the fewest options that tell rows apart.

    Args:
        rows: What `rows_of` gives.
        together: Runs that stand in one table. What differs between tables alone is not named.
    """
    keys = [max(map(row_key, row), key=len) for row in rows]
    plain = [key.get("row", row[0].method) for key, row in zip(keys, rows, strict=True)]
    chosen: dict[str, list[str]] = {}
    for group in together:
        present = [p for p, row in enumerate(rows) if any(entry in group for entry in row)]
        for name in {plain[p] for p in present if "row" not in keys[p]}:
            alike = [keys[p] for p in present if plain[p] == name and "row" not in keys[p]]
            for key in _telling(alike):
                if key not in chosen.setdefault(name, []):
                    chosen[name].append(key)
    names = []
    for label, options in zip(plain, keys, strict=True):
        named = [] if "row" in options else [k for k in options if k in chosen.get(label, ())]
        said = ", ".join(f"{k.removeprefix('method.')} {options[k]}" for k in named)
        names.append(f"{label} ({said})" if said else label)
    return names


def _telling(keys: Sequence[Mapping[str, str]]) -> list[str]:
    """The first options that, together, are different in as many rows as all options are."""
    out: list[str] = []
    apart = 1
    for name in {name: None for key in keys for name in key}:
        if any(name not in key for key in keys):  # of another version
            continue
        count = len({tuple(key[n] for n in [*out, name]) for key in keys})
        if count > apart:
            out.append(name)
            apart = count
    return out
