"""Counts of the pixels in masks, and problems of the labels, for training and `ssseg doctor`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from ssseg.data.datasets.base import ClassInfo, Record, Source
from ssseg.data.findings import Finding, Severity, fill
from ssseg.data.reading import in_threads
from ssseg.types import IGNORE


class Counted(NamedTuple):
    """Counts of the pixels of a mask."""

    file: str
    """Name of the file in messages."""
    pixels: Sequence[int]
    """Number of pixels of each of the 256 ids; 0 for ids that are neither a class nor IGNORE."""
    odd: bool = False
    """Whether the mask has values that are no class, which is reported separately."""

    @property
    def blank(self) -> bool:
        """Whether every pixel is ignored."""
        return not self.odd and not any(self.pixels[:IGNORE])


def count_masks(source: Source, records: Sequence[Record]) -> list[Counted]:
    """The pixels of each class in every mask.

    Raises:
        UserError: For the first mask that cannot be read.
    """
    counted = []
    for record, numbers in zip(records, in_threads(source.pixels_of, records), strict=True):
        pixels = [0] * 256
        for i, number in numbers:
            pixels[i] = number
        counted.append(Counted(file_of(source, record.mask, record), pixels))
    return counted


def file_of(source: Source, place: Path | int | None, record: Record) -> str:
    """The name of a file in messages: its path inside the data set."""
    if not isinstance(place, Path):
        return record.id
    root = getattr(source, "root", None)
    if isinstance(root, Path) and place.is_relative_to(root):
        return str(place.relative_to(root))
    return str(place)


def problems_of_labels(source: Source, sets: Mapping[str, Sequence[Counted]]) -> list[Finding]:
    """Classes that are missing in a set, and masks without labeled pixels.

    Args:
        source: The data set.
        sets: The masks of `labeled`, `val` and, optionally, `test` images.

    Returns:
        Findings; with an error among them training is not possible.
    """
    classes, findings = source.classes, list[Finding]()
    flagged = binary_sets(source, sets)
    if flagged:
        files = [mask.file for role in flagged for mask in sets[role] if mask.pixels[IGNORE]]
        findings.append(_binary(classes[1], flagged, files))
    labeled = sets.get("labeled", ())
    nothing = "labeled" not in flagged and _nothing_to_learn(classes, labeled)
    if nothing:
        findings.append(nothing)
    for role, kind, why in (
        ("labeled", "class_not_labeled", "cannot be learned; label images that show {it}"),
        ("val", "class_not_in_val", "cannot be scored during training; add images that show {it}"),
    ):
        masks = sets.get(role, ())
        said = flagged or (role == "labeled" and nothing)
        lacking = [info.name for info, n in zip(classes, totals(masks), strict=False) if not n]
        if masks and lacking and not said:
            text = fill(
                f"{{n}} class{{es}} ({{files}}) never occur{{verb}} in {role} masks and {why}",
                lacking,
                es="" if len(lacking) == 1 else "es",
                verb="s" if len(lacking) == 1 else "",
            )
            findings.append(Finding("warning", kind, text, lacking))
    for role, masks in sets.items():
        pixels = totals(masks)
        share = pixels[IGNORE] / max(1, sum(pixels))
        if share > 0.5 and role not in flagged and not (role == "labeled" and nothing):
            text = (
                f"{share:.0%} of the pixels in the masks of {role} are ignored ({IGNORE}) and do "
                "not count in losses or scores; check that this is intended"
            )
            findings.append(Finding("warning", "ignore_share", text))
    files = [
        mask.file
        for role, masks in sets.items()
        for mask in masks
        if mask.blank and role not in flagged and not (role == "labeled" and nothing)
    ]
    if files:
        text = fill(
            f"{{n}} mask{{s}} {{are}} ignored ({IGNORE}) in every pixel ({{files}}), so {{they}} "
            "{have} no effect; label some pixels, or move the image{s} to unlabeled/",
            files,
        )
        findings.append(Finding("warning", "mask_blank", text, files))
    return findings


def binary_sets(source: Source, sets: Mapping[str, Sequence[Counted]]) -> list[str]:
    """Sets in whose masks 255 means the second of two classes, as image editors write masks.

    There are none if the class list maps values to classes, or if a mask has both 1 and 255, where
    255 means ignore.
    """
    both = any(mask.pixels[1] and mask.pixels[IGNORE] for masks in sets.values() for mask in masks)
    if len(source.classes) != 2 or source.explains_values or both:
        return []
    flagged = []
    for role, masks in sets.items():
        pixels, odd = totals(masks), any(mask.odd for mask in masks)
        if pixels[IGNORE] and pixels[0] and not pixels[1] and not odd:
            flagged.append(role)
    return flagged


def totals(masks: Sequence[Counted]) -> list[int]:
    """Number of pixels of each of the 256 ids in all masks."""
    return [sum(pixels) for pixels in zip(*(mask.pixels for mask in masks), strict=True)] or [
        0
    ] * 256


def _binary(info: ClassInfo, flagged: Sequence[str], files: Sequence[str]) -> Finding:
    severity: Severity = "error" if "labeled" in flagged else "warning"
    text = fill(
        f"the masks of {' and '.join(flagged)} hold only 0 and {IGNORE} ({{files}}), and {IGNORE} "
        f"means ignore, so that class {info.name!r} would never be learned or scored; write 1 "
        f'instead of {IGNORE} there, or give both classes their "id" in classes.json, 0 and '
        f"{IGNORE}",
        files,
    )
    return Finding(severity, "mask_binary", text, files)


def _nothing_to_learn(classes: Sequence[ClassInfo], masks: Sequence[Counted]) -> Finding | None:
    """A finding if the labeled masks have no class or only one class; None otherwise."""
    if not masks or any(mask.odd for mask in masks):
        return None
    shown = [info.name for info, n in zip(classes, totals(masks), strict=False) if n]
    files = [mask.file for mask in masks]
    if not shown:
        text = fill(
            f"all of the {{n}} labeled mask{{s}} {{are}} ignored ({IGNORE}) in every pixel "
            "({files}), so no class can be learned; label some pixels",
            files,
        )
        return Finding("error", "nothing_labeled", text, files)
    if len(shown) == 1:
        text = fill(
            f"the {{n}} labeled mask{{s}} {{hold}} only the class {shown[0]!r} ({{files}}), so no "
            "other class can be learned; label images with other classes",
            files,
        )
        return Finding("error", "one_class_labeled", text, files)
    return None
