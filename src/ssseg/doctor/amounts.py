"""How many images there are for what is planned, and which of them come twice."""

from collections.abc import Sequence
from itertools import combinations

from ssseg.doctor.findings import ROLES, Finding, Role, Severity, file_of, fill, shown
from ssseg.doctor.look import Seen
from ssseg.doctor.sets import Plan, Sets


def problems_of_amounts(
    sets: Sets, batch_size: int, unlabeled: bool, method: str | None
) -> list[Finding]:
    """Sets that are empty or smaller than a batch.

    Args:
        sets: What there is.
        batch_size: Labeled images per step, and unlabeled ones.
        unlabeled: Whether training looks at unlabeled images.
        method: That was named, if any.
    """
    labeled, others = len(sets.records["labeled"]), len(sets.records["unlabeled"])
    findings = list[Finding]()
    if not labeled:
        text = "no training image has a mask; label a few images, from one per class on"
        findings.append(Finding("error", "no_labeled", text))
    elif labeled < batch_size:
        text = (
            f"a step takes {batch_size} labeled images, but there are only {labeled}; give "
            f"--data.batch_size {labeled}, or label more"
        )
        findings.append(Finding("error", "few_labeled", text))
    if unlabeled and not others:
        text = (
            "there are no unlabeled images, so that only the method `supervised` can train; put "
            "images without masks into unlabeled/, or leave masks unused with --data.labeled"
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
            "there are no validation images with masks, so that there will be no scores and no "
            "best checkpoint; put some labeled images into val/"
        )
        findings.append(Finding("warning", "no_val", text))
    return findings


def duplicates(sets: Sets, seen: Sequence[Seen]) -> list[Finding]:
    """Images of equal contents, across sets and within them."""
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
                f"{{n}} {role} image{{s}} {{are}} there twice ({{pairs}}); remove {{it}} unless "
                "some images shall count double",
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
        why = f"and scores on {second} would be too good"
    elif first == "val" and scored:
        why = "and the test would not be independent of the choice of a checkpoint"
    elif scored:
        why = f"and scores on {second} would be those of images that were trained on"
    else:
        why = "which teaches nothing new"
    where = f"{second} only" if scored and first != "val" else "one of the two only"
    text = fill(
        f"{{n}} {first} image{{s}} {{are}} in {second} too ({{pairs}}), {why}; keep {{it}} in "
        f"{where}",
        files,
        pairs=pairs,
    )
    return Finding(severity, f"duplicates_{first}_{second}", text, files)


def exposures(sets: Sets, plan: Plan, batch_size: int, unlabeled: bool) -> dict[str, float]:
    """How often each image of a set will be seen."""
    roles: list[Role] = ["labeled", "unlabeled"] if unlabeled else ["labeled"]
    numbers = {role: len(sets.records[role]) for role in roles}
    return {role: plan.max_steps * batch_size / n for role, n in numbers.items() if n}
