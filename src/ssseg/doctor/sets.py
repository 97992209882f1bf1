"""The images of every set, and what cannot even be listed."""

from contextlib import suppress
from functools import partial
from typing import NamedTuple

import numpy as np

from ssseg.data.datasets.base import Array, Record, Source, Split
from ssseg.data.datasets.folder import Folder
from ssseg.data.splits import LabeledSplit, Select, split_labeled
from ssseg.doctor.findings import Finding, Role, Severity
from ssseg.doctor.layout import AnyFolder
from ssseg.doctor.mask import Refused, facts_of, read_mask
from ssseg.errors import UserError
from ssseg.paths import as_path


class Plan(NamedTuple):
    """What the user wants to train, as far as it was said."""

    labeled: str | None = None
    """As `--data.labeled`; None for the data set's own default."""
    select: Select = "random"
    """As `--data.select`."""
    split_seed: int = 0
    method: str | None = None
    network: str | None = None
    """None for the one that suits the data set."""
    max_steps: int = 800
    batch_size: int | None = None
    """None for the data set's own default."""


class Sets(NamedTuple):
    """A data set as a run would divide it."""

    source: Source
    split: LabeledSplit
    records: dict[Role, list[Record]]
    """What to look at; those of `unlabeled` and `unmasked` name no mask."""
    findings: list[Finding]


def open_sets(make: partial[Source], plan: Plan) -> Sets | Finding:
    """Open a data set and divide it; what the data set refuses becomes a finding.

    Args:
        make: The data set, not opened yet.
        plan: Which images are to be labeled.

    Raises:
        UserError: For options that do not fit the data set.
    """
    cls = AnyFolder if make.func is Folder else make.func
    try:
        source: Source = cls(*make.args, **make.keywords)
    except UserError as error:
        if cls is AnyFolder:  # only a folder that is not there
            raise
        return Finding("error", "source", str(error))
    findings = list[Finding]()
    train = _records(source, "train", findings)
    val, test = _records(source, "val", findings), _records(source, "test", findings)
    try:
        more = source.unlabeled()
    except UserError as error:
        findings.append(Finding("error", "source", str(error)))
        more = []
    if isinstance(source, AnyFolder):
        findings += source.findings
    findings += [Finding("warning", "left_out", remark) for remark in source.remarks()]
    split = _divide(source, train, plan, findings)
    # masks of unlabeled images are nobody's business: nothing opens them from here on
    unlabeled = [record._replace(mask=None) for record in [*split.rest, *more]]
    records: dict[Role, list[Record]] = {
        "labeled": split.labeled,
        "unlabeled": unlabeled,
        "val": val,
        "test": test,
        "unmasked": source.unmasked if isinstance(source, AnyFolder) else [],
    }
    return Sets(source, split, records, findings)


def _records(source: Source, split: Split, findings: list[Finding]) -> list[Record]:
    try:
        return source.records(split)
    except UserError as error:
        severity: Severity = "warning" if split == "test" else "error"
        findings.append(Finding(severity, "source", str(error)))
        return []


def _divide(
    source: Source, train: list[Record], plan: Plan, findings: list[Finding]
) -> LabeledSplit:
    wanted = source.labeled if plan.labeled is None else plan.labeled
    if not train:
        return LabeledSplit("all", [], [])
    presence = partial(_presence, source, train)
    try:
        split = split_labeled(train, wanted, plan.split_seed, plan.select, source, presence)
    except UserError as error:
        sound = not any(finding.severity == "error" for finding in findings)
        listed = wanted is not None and as_path(wanted).is_file()
        if sound and not listed:
            raise
        # the option may be right, and name an image whose mask is missing or broken so far
        findings.append(Finding("error", "split", str(error)))
        return LabeledSplit("all", train, [])
    findings += [Finding("note", "split", remark) for remark in split.remarks]
    return split


def _presence(source: Source, records: list[Record]) -> Array:
    """Which class occurs in which mask; none in masks that cannot be read."""
    shown = np.zeros((len(records), source.num_classes), bool)
    for row, record in zip(shown, records, strict=True):
        with suppress(Refused):
            counts = facts_of(source, record, read_mask(source, record)).counts
            row[:] = np.array(counts[: source.num_classes]) > 0
    return shown
