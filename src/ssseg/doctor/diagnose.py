"""What is wrong with whole sets: classes that are missing, palettes, sizes."""

from collections import Counter
from collections.abc import Sequence

from ssseg.data.datasets.base import Source
from ssseg.data.datasets.class_list import Color
from ssseg.doctor.findings import MASKED, Finding, Role, Severity, file_of, fill, listed
from ssseg.doctor.look import Seen
from ssseg.doctor.numbers import Counts, counts_of, of_role
from ssseg.types import IGNORE


def problems_of_classes(source: Source, seen: Sequence[Seen]) -> list[Finding]:
    """Classes that nobody shows, and masks that say nothing."""
    sets = {role: counts_of(of_role(seen, role)) for role in MASKED}
    findings = list[Finding]()
    if not source.classes:
        values = sorted({v for c in sets.values() for v, n in enumerate(c.images) if n} - {IGNORE})
        if values:
            example = ", ".join(f'"name of {value}"' for value in range(values[-1] + 1))
            text = (
                f"the masks hold the values {listed([str(v) for v in values])}; write one name for "
                f"each id from 0 to {values[-1]} into classes.json: [{example}]"
            )
            findings.append(Finding("note", "classes_found", text))
        return findings
    flagged = binary_sets(source, seen)
    if flagged:
        names = listed([str(role) for role in flagged])
        name = source.classes[1].name
        files = [
            file_of(source, one.record.mask, one.record)
            for one in seen
            if one.role in flagged and one.mask is not None and one.mask.counts[IGNORE]
        ]
        text = fill(
            f"the masks of {names} hold only 0 and 255 ({{files}}), and 255 means ignore, so that "
            f"class {name!r} would never be learned or scored; write 1 instead of 255 there",
            files,
        )
        severity: Severity = "error" if "labeled" in flagged else "warning"
        findings.append(Finding(severity, "mask_binary", text, files))
    findings += _missing(source, sets, "mask_binary" in [f.kind for f in findings])
    for role, counts in sets.items():
        if counts.total and counts.ignored / counts.total > 0.5 and role not in flagged:
            text = (
                f"{counts.ignored / counts.total:.0%} of the pixels in the masks of {role} are "
                f"ignored ({IGNORE}) and teach or score nothing; make sure that this is meant"
            )
            findings.append(Finding("warning", "ignore_share", text))
    blank = [s for s in seen if s.mask is not None and s.mask.blank and s.role not in flagged]
    if blank:
        files = [file_of(source, one.record.mask, one.record) for one in blank]
        text = fill(
            f"{{n}} mask{{s}} {{are}} ignored ({IGNORE}) in every pixel ({{files}}), which says "
            "nothing; label something there, or move the image{s} to unlabeled/",
            files,
        )
        findings.append(Finding("warning", "mask_blank", text, files))
    return findings


def binary_sets(source: Source, seen: Sequence[Seen]) -> list[Role]:
    """Sets whose masks mean the second of two classes by 255, as image editors write masks."""
    flagged = list[Role]()
    for role in MASKED:
        counts = counts_of(of_role(seen, role))
        strange = any(one.mask.strange for one in of_role(seen, role) if one.mask is not None)
        two = len(source.classes) == 2 and not strange
        if two and counts.ignored and counts.pixels[0] and not counts.pixels[1]:
            flagged.append(role)
    return flagged


def _missing(source: Source, sets: dict[Role, Counts], explained: bool) -> list[Finding]:
    findings = []
    for role, kind, why in (
        ("labeled", "class_not_labeled", "cannot be learned; label images that show {it}"),
        ("val", "class_not_in_val", "cannot be scored during training; add images that show {it}"),
    ):
        images = sets[role].images  # type: ignore[index]
        if sets[role].total and not explained:  # type: ignore[index]
            names = [info.name for i, info in enumerate(source.classes) if not images[i]]
            if names:
                text = fill(f"{{n}} class{{es}} ({{files}}) never occur{{verb}} in {role} masks "
                            f"and {why}", names, es="" if len(names) == 1 else "es",
                            verb="s" if len(names) == 1 else "")  # fmt: skip
                findings.append(Finding("warning", kind, text, names))
    return findings


def problems_of_palettes(source: Source, seen: Sequence[Seen]) -> list[Finding]:
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
        "{n} mask{s} {have} another palette than the others ({files}), so that one colour is "
        "another number there; look whether the number of each class is the same in all masks, "
        "because numbers count and colours do not",
        files,
    )
    return [Finding("warning", "mask_palette", text, files)]


def problems_of_images(
    source: Source, seen: Sequence[Seen], crop: tuple[int, int] | None
) -> list[Finding]:
    """Images that are unlike the others, or too small."""
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
