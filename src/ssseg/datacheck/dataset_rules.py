"""Problems of whole sets: missing classes, palettes, sizes, number of images, duplicates."""

from collections import Counter
from collections.abc import Sequence
from itertools import combinations

from ssseg.data.datasets.base import Source
from ssseg.data.datasets.class_list import Color
from ssseg.data.labels import Counted, problems_of_labels
from ssseg.datacheck.counts import counts_of, of_role
from ssseg.datacheck.dataset import Plan, Sets
from ssseg.datacheck.findings import (
    MASKED,
    ROLES,
    Finding,
    Role,
    Severity,
    file_of,
    fill,
    listed,
    shown,
)
from ssseg.datacheck.scan import ScannedImage
from ssseg.types import IGNORE


def problems_of_classes(source: Source, seen: Sequence[ScannedImage]) -> list[Finding]:
    """Classes that are missing in a set, and masks without labeled pixels."""
    sets = {role: counts_of(of_role(seen, role)) for role in MASKED}
    findings = list[Finding]()
    if not source.classes:
        values = sorted({v for c in sets.values() for v, n in enumerate(c.images) if n} - {IGNORE})
        if values and values[-1]:
            example = ", ".join(f'"name of {value}"' for value in range(values[-1] + 1))
            text = (
                f"the masks hold the values {listed([str(v) for v in values])}; write one name for "
                f"each id from 0 to {values[-1]} into classes.json: [{example}]"
            )
            findings.append(Finding("note", "classes_found", text))
        return findings
    return problems_of_labels(source, counted(source, seen))


def counted(source: Source, seen: Sequence[ScannedImage]) -> dict[str, list[Counted]]:
    """Counts of the masks that were read, by set."""
    return {
        role: [
            Counted(
                file_of(source, one.record.mask, one.record),
                one.mask.counts,
                bool(one.mask.problems),
            )
            for one in of_role(seen, role)
            if one.mask is not None
        ]
        for role in MASKED
    }


def problems_of_palettes(source: Source, seen: Sequence[ScannedImage]) -> list[Finding]:
    """Ids that have different colours in different masks."""
    votes = dict[int, Counter[Color]]()
    for one in seen:
        for value, color in one.mask.palette.items() if one.mask is not None else ():
            votes.setdefault(value, Counter())[color] += 1
    usual = {value: colors.most_common(1)[0][0] for value, colors in votes.items()}
    odd = [
        one
        for one in seen
        if one.mask is not None
        and any(usual[value] != color for value, color in one.mask.palette.items())
    ]
    if not odd:
        return []
    files = [file_of(source, one.record.mask, one.record) for one in odd]
    text = fill(
        "{n} mask{s} {have} another palette than the others ({files}), so one colour has different "
        "ids in different masks; check that each class has the same id in all masks, because "
        "training uses ids and not colours",
        files,
    )
    return [Finding("warning", "mask_palette", text, files)]


def problems_of_images(
    source: Source, seen: Sequence[ScannedImage], crop: tuple[int, int] | None
) -> list[Finding]:
    """Images with another number of channels than the others, and small images."""
    findings = list[Finding]()
    used = [one for one in seen if one.image is not None and one.role in ("labeled", "unlabeled")]
    channels = Counter(one.image.channels for one in used if one.image is not None)
    if channels and 2 * channels[source.in_channels] < len(used) and source.in_channels in (1, 3):
        usual = channels.most_common(1)[0][0]
        text = (
            f"images are read with {source.in_channels} channel{'s' * (source.in_channels > 1)} as "
            f"in the first training image, but most have {usual}; give --data.channels {usual}"
        )
        findings.append(Finding("warning", "image_first_is_odd", text))
    small = [
        file_of(source, one.record.image, one.record)
        for one in used
        if crop and one.image and (one.image.height < crop[0] or one.image.width < crop[1])
    ]
    if crop and small:
        text = fill(
            f"{{n}} image{{s}} {{are}} smaller than crops of {crop[0]} x {crop[1]} ({{files}}); "
            "{they} will be padded, and the padding is ignored",
            small,
        )
        findings.append(Finding("note", "image_small", text, small))
    return findings


def problems_of_amounts(
    sets: Sets, batch_size: int, unlabeled: bool, method: str | None
) -> list[Finding]:
    """Sets that are empty or smaller than a batch.

    Args:
        sets: The divided data set.
        batch_size: Labeled images per step; also unlabeled images per step.
        unlabeled: Whether the method uses unlabeled images.
        method: Name of the method; None: not chosen yet.
    """
    labeled, others = len(sets.records["labeled"]), len(sets.records["unlabeled"])
    findings = list[Finding]()
    if not labeled:
        text = "no training image has a mask; label a few images, at least one for each class"
        findings.append(Finding("error", "no_labeled", text))
    elif labeled < batch_size:
        text = (
            f"a step takes {batch_size} labeled images, but there are only {labeled}; give "
            f"--data.batch_size {labeled}, or label more"
        )
        findings.append(Finding("error", "few_labeled", text))
    if unlabeled and not others:
        text = (
            "there are no unlabeled images, so only the method `supervised` can train; put "
            "images without masks into unlabeled/, or use only some masks with --data.labeled"
        )
        severity: Severity = "warning" if method is None else "error"
        findings.append(Finding(severity, "no_unlabeled", text))
    elif unlabeled and others < batch_size:
        text = (
            f"a step takes {batch_size} unlabeled images, but there are only {others}; give "
            f"--data.unlabeled_batch_size {others}, or add some"
        )
        findings.append(Finding("error", "few_unlabeled", text))
    if not sets.records["val"]:
        text = (
            "there are no validation images with masks, so there will be no scores and no best "
            "checkpoint; put some labeled images into val/"
        )
        findings.append(Finding("warning", "no_val", text))
    return findings


def duplicates(sets: Sets, seen: Sequence[ScannedImage]) -> list[Finding]:
    """Images with equal contents, in two sets or in one set."""
    groups = dict[str, dict[Role, list[str]]]()
    for one in seen:
        if one.image is not None:
            group = groups.setdefault(one.image.digest, {})
            name = file_of(sets.source, one.record.image, one.record)
            group.setdefault(one.role, []).append(name)
    findings = list[Finding]()
    for first, second in combinations(ROLES, 2):
        shared = [g for g in groups.values() if first in g and second in g]
        if shared:
            findings.append(_across(first, second, shared))
    for role in ROLES:
        twice = [g[role] for g in groups.values() if len(g.get(role, [])) > 1]
        if twice:
            files = [name for names in twice for name in names[1:]]
            text = fill(
                f"{{n}} {role} image{{s}} {{are}} a copy of another one ({{pairs}}); remove {{it}} "
                "unless some images must count twice",
                files,
                pairs=shown([" = ".join(names) for names in twice], 2),
            )
            findings.append(Finding("note", f"duplicates_within_{role}", text, files))
    return findings


def _across(first: Role, second: Role, shared: list[dict[Role, list[str]]]) -> Finding:
    files = [name for group in shared for name in group[first]]
    pairs = shown([f"{group[first][0]} = {group[second][0]}" for group in shared], 2)
    scored = second in ("val", "test")
    severity: Severity = "error" if first == "labeled" and scored else "warning"
    if first == "labeled" and scored:
        why = f"so scores on {second} would be too high"
    elif first == "val" and scored:
        why = "so test scores would depend on the choice of the best checkpoint"
    elif scored:
        why = f"so scores on {second} would include images of the training"
    else:
        why = "which adds no new images"
    where = f"{second} only" if scored and first != "val" else "one of the two only"
    text = fill(
        f"{{n}} {first} image{{s}} {{are}} in {second} too ({{pairs}}), {why}; keep {{it}} in "
        f"{where}",
        files,
        pairs=pairs,
    )
    return Finding(severity, f"duplicates_{first}_{second}", text, files)


def exposures(sets: Sets, plan: Plan, batch_size: int, unlabeled: bool) -> dict[str, float]:
    """Number of times that each image of a set will be used in the training, on average."""
    roles: list[Role] = ["labeled", "unlabeled"] if unlabeled else ["labeled"]
    numbers = {role: len(sets.records[role]) for role in roles}
    return {role: plan.max_steps * batch_size / n for role, n in numbers.items() if n}
