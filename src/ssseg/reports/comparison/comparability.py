"""Which settings must be equal for two runs to be in one table, and which others are compared."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ssseg.reports.comparison.collect import RunEntry
from ssseg.serialization import flatten

FIELDS = {
    "data set": "data.name",
    "split": "data.split",
    "split hash": "data.split_hash",
    "labels": "data.labeled",
    "validation images": "data.val",
    "steps": "steps",
    "ended early": "ended_early",
    "earlier lengths": "earlier_lengths",
    "labeled images per batch": "data.batch_size",
    "batches per step": "training.accumulate_grad_batches",
    "precision": "training.precision",
    "training batches": "training.limit_train_batches",
    "validation batches": "training.limit_val_batches",
    "callbacks": "training.callbacks",
    "augmentation": "data.augmentation",
    "mean": "data.mean",
    "std": "data.std",
    "image size": "data.image_size",
    "crop size": "data.crop_size",
    "network": "network",
    "initial model": "init",
    "evaluation": "evaluation",
}
"""Runs that differ in one of these are in different tables."""
LABELS = ("split", "split hash", "labels")
"""Settings that differ along the curve over the number of labels."""
OWN = {
    "method": "method",
    "optim": "optim",
    "labeled loss": "loss",
    "gradient clipping": "training.gradient_clip_val",
    "gradient clipping by": "training.gradient_clip_algorithm",
    "unlabeled images": "data.unlabeled",
    "unlabeled images per batch": "data.unlabeled_batch_size",
    "labeled images as unlabeled": "data.reuse_labeled",
    "devices": "training.devices",
    "shared BatchNorm": "training.shared_batchnorm",
    "compute": "compute",
}
"""Settings of training; runs of one table that differ in one of these are different rows."""
BESIDES = {
    **{name: dotted for name, dotted in OWN.items() if name != "method"},
    "device": "device",
    "versions": "versions",
    "commit": "commit",
}
"""Settings that may differ within a table; a note below it names them."""
NESTED = ("network", "evaluation", "augmentation", "initial model", "compute", "labeled loss")
"""Fields that hold several settings."""
UNKNOWN = "not recorded"

Settings = Mapping[str, str]
"""Fields as text, so that they compare and print; nested ones with dots in their names."""


def settings(entry: RunEntry, fields: Mapping[str, str] = FIELDS) -> Settings:
    """The fields of a run; one that its summary does not have is `not recorded`.

    Args:
        entry: The run.
        fields: Names of the fields, and where the summary has them.
    """
    known = recorded(entry, fields)
    out: dict[str, str] = {}
    for name in fields:
        values = flatten(known[name], name) if name in known else {name: UNKNOWN}
        out.update({key: words(value) for key, value in values.items()})
    return out


def recorded(entry: RunEntry, fields: Mapping[str, str]) -> dict[str, Any]:
    """The fields that the summary of a run has at all; what is there may be None."""
    out = {}
    for name, dotted in fields.items():
        parent, _, key = dotted.rpartition(".")
        holder = entry.get(parent) if parent else entry.summary
        if isinstance(holder, Mapping) and key in holder:
            out[name] = holder[key]
    return out


def words(value: Any) -> str:
    """A value as text for readers."""
    if value is None:
        return "none"
    if isinstance(value, list | tuple) and len(value) == 2 and all(map(_whole, value)):
        return f"{value[0]} x {value[1]}"
    return value if isinstance(value, str) else json.dumps(value)


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def unlike(several: Iterable[Settings]) -> list[str]:
    """Names of the fields that are not the same everywhere, in their order.

    Where one side did not record a nested field at all, that field is named, not all its parts.
    """
    given = list(several)
    whole = [name for name in NESTED if any(name in one for one in given)]
    names: dict[str, None] = {}
    for one in given:
        for name in one:
            top = next((w for w in whole if name == w or name.startswith(f"{w}.")), name)
            names.setdefault(top)
    return [name for name in names if len({value_of(one, name) for one in given}) > 1]


def value_of(one: Settings, name: str) -> str:
    """A field as text; of a nested one that is asked for as a whole, all its parts."""
    if name in one:
        return one[name]
    parts = {key: value for key, value in one.items() if key.startswith(f"{name}.")}
    if not parts:
        return "not given"
    return ", ".join(f"{key[len(name) + 1 :]} {value}" for key, value in parts.items())


def sentence(one: Settings, other: Settings, names: Iterable[str]) -> str:
    """The settings in which two tables differ, with both values."""
    pairs = [(name, value_of(one, name), value_of(other, name)) for name in names]
    return "; ".join(f"{name} {here} (there {there})" for name, here, there in pairs)


def rows_of(entries: Sequence[RunEntry]) -> list[list[RunEntry]]:
    """Runs that differ in the seed alone, over all tables."""
    rows: dict[str, list[RunEntry]] = {}
    for entry in entries:
        rows.setdefault(json.dumps(row_key(entry), sort_keys=True), []).append(entry)
    return list(rows.values())


def row_key(entry: RunEntry) -> dict[str, str]:
    """What makes the row of a run; what a benchmark planned as a row is one."""
    if entry.row is not None:
        return {"row": entry.row, "column": entry.column}
    return {key: words(value) for key, value in flatten(recorded(entry, OWN)).items()}


def names_of(
    rows: Sequence[Sequence[RunEntry]], together: Sequence[Sequence[RunEntry]]
) -> list[str]:
    """The row's label, or the method's name, with the fewest options that tell rows apart.

    Args:
        rows: What `rows_of` gives.
        together: Runs that stand in one table. What differs between tables alone is not named.
    """
    keys = [row_key(row[0]) for row in rows]
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
        count = len({tuple(key.get(n) for n in [*out, name]) for key in keys})
        if count > apart:
            out.append(name)
            apart = count
    return out
