"""What is wrong with whole sets: classes that are missing, palettes, sizes."""

from collections import Counter
from collections.abc import Sequence

from ssseg.data.datasets.base import Source
from ssseg.data.datasets.class_list import Color
from ssseg.data.labels import Counted, problems_of_labels
from ssseg.doctor.findings import MASKED, Finding, file_of, fill, listed
from ssseg.doctor.look import Seen
from ssseg.doctor.numbers import counts_of, of_role
from ssseg.types import IGNORE


def problems_of_classes(source: Source, seen: Sequence[Seen]) -> list[Finding]:
    """Classes that nobody shows, and masks that say nothing."""
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


def counted(source: Source, seen: Sequence[Seen]) -> dict[str, list[Counted]]:
    """The masks that were read, set by set."""
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
