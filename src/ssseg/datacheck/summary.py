"""The report as plain data: what `ssseg doctor --json` prints and `ssseg.doctor` returns."""

from collections.abc import Sequence
from typing import Any

from ssseg.datacheck.counts import counts_of, describe, of_role, propose_crop
from ssseg.datacheck.dataset import Plan, Sets
from ssseg.datacheck.dataset_rules import (
    duplicates,
    exposures,
    problems_of_amounts,
    problems_of_classes,
    problems_of_images,
    problems_of_palettes,
)
from ssseg.datacheck.file_rules import problems_of_files
from ssseg.datacheck.findings import MASKED, ROLES, DoctorReport, Finding, Role
from ssseg.datacheck.scan import ScannedImage


def make_report(sets: Sets, seen: Sequence[ScannedImage], plan: Plan) -> DoctorReport:
    """The report of a data set; the estimate of memory is added by `check_data`."""
    source = sets.source
    batch_size = plan.batch_size or source.batch_size
    unlabeled = uses_unlabeled(plan.method)
    crop = propose_crop(seen)
    unused: list[Role] = ["test", "unmasked"] if unlabeled else ["test", "unmasked", "unlabeled"]
    findings = [
        *sets.findings,
        *problems_of_files(source, seen, unused),
        *problems_of_classes(source, seen),
        *problems_of_palettes(source, seen),
        *problems_of_images(source, seen, crop),
        *duplicates(sets, seen),
        *problems_of_amounts(sets, batch_size, unlabeled, plan.method),
    ]
    return {
        "data": {
            "name": source.name,
            "in_channels": source.in_channels,
            "values": source.pixels,
            "split": sets.split.name,
        },
        "sets": {
            role: describe(of_role(seen, role))
            for role in ROLES
            if role != "unmasked" or sets.records[role]
        },
        "classes": _classes(source.classes, seen),
        "proposal": _proposal(crop, source.crop_size),
        "estimate": {
            "max_steps": plan.max_steps,
            "batch_size": batch_size,
            "unlabeled_batch_size": batch_size if unlabeled else 0,
            "exposures": exposures(sets, plan, batch_size, unlabeled),
            "memory": None,
        },
        **conclusion(findings),
    }


def conclusion(findings: Sequence[Finding]) -> DoctorReport:
    """The findings, errors first, and the verdict."""
    order = ("error", "warning", "note")
    number = {severity: sum(f.severity == severity for f in findings) for severity in order}
    errors = [finding for finding in findings if finding.severity == "error"]
    problems = f"{len(errors)} problem{'s' * (len(errors) != 1)}"
    return {
        "findings": [
            {**finding._asdict(), "files": list(finding.files)}
            for finding in sorted(findings, key=lambda finding: order.index(finding.severity))
        ],
        "verdict": {
            "ok": not errors,
            "errors": number["error"],
            "warnings": number["warning"],
            "notes": number["note"],
            "text": f"training cannot start: {problems}" if errors else "training can start",
        },
    }


def uses_unlabeled(method: str | None) -> bool:
    """Whether a method uses unlabeled images; True if no method is given."""
    if method is None:
        return True
    from ssseg.methods import method_class

    return method_class(method).num_views > 0


def _classes(classes: Sequence[Any], seen: Sequence[ScannedImage]) -> list[DoctorReport]:
    sets = {role: counts_of(of_role(seen, role)) for role in MASKED}
    return [
        {
            "id": i,
            "name": info.name,
            "color": list(info.color),
            **{
                role: {"share": counts.share(i), "images": counts.images[i]}
                for role, counts in sets.items()
            },
        }
        for i, info in enumerate(classes)
    ]


def _proposal(crop: tuple[int, int] | None, usual: tuple[int, int]) -> DoctorReport | None:
    if crop is None:
        return None
    return {
        "crop_size": list(crop),
        "default": list(usual),
        "option": f'--data.crop_size "[{crop[0]}, {crop[1]}]"',
    }
