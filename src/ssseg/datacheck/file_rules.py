"""Problems of single images and masks, with the sentence that reports each of them."""

from collections import Counter
from collections.abc import Sequence
from typing import Literal, NamedTuple

from ssseg.data.datasets.base import Source
from ssseg.data.datasets.folder import Folder
from ssseg.datacheck.findings import Finding, Role, Severity, file_of, fill, listed, shown
from ssseg.datacheck.scan import ScannedImage
from ssseg.types import IGNORE

Numbering = Literal["places", "from one", "unclear"]
"""`places`: values are indices into the class list. `from one`: indices that start at 1. `unclear`:
one of these, or another numbering."""


class Kind(NamedTuple):
    """A kind of problem: its severity, and a sentence for `findings.fill`."""

    severity: Severity
    sentence: str


KINDS = {
    "image_unreadable": Kind(
        "error",
        "{n} image{s} cannot be decoded to the end ({files}), so training would stop; replace or "
        "remove {it}",
    ),
    "image_empty": Kind(
        "error",
        "{n} image file{s} {are} empty ({files}), as after an interrupted copy or download; "
        "copy {it} again or remove {it}",
    ),
    "image_refused": Kind("error", "{n} image{s} cannot be used ({files}): {details}"),
    "image_kind": Kind(
        "error",
        "{n} image{s} {hold} {details} ({files}), but all images must have the same kind of "
        "values; convert {it}",
    ),
    "image_channels": Kind(
        "error",
        "{n} image{s} {have} {details} ({files}), which cannot be converted; remove {it}, or give "
        "the number of channels to read with --data.channels",
    ),
    "image_not_finite": Kind(
        "error",
        "{n} image{s} {hold} infinite values ({files}), which would make the loss infinite; "
        "replace those values, for instance with 0",
    ),
    "image_undeclared": Kind(
        "warning",
        "{n} image{s} {hold} a value in many pixels that is far from all others ({details}: "
        '{files}) and distorts mean and standard deviation; if it means "no data", declare it in '
        "the file{s} (gdal_edit.py -a_nodata)",
    ),
    "image_converted": Kind(
        "note",
        "{n} image{s} {have} {details} ({files}); {they} will be converted when read, no action is "
        "needed",
    ),
    "image_mirrored": Kind(
        "note",
        "{n} image{s} {are} rotated by 180 degrees or mirrored by the EXIF orientation ({files}); "
        "images are read as a viewer displays them: check that the mask{s} {have} the same "
        "orientation",
    ),
    "mask_unreadable": Kind(
        "error",
        "{n} mask{s} cannot be decoded to the end ({files}), so training would stop; save {it} "
        "again, or remove {it} and move the image{s} to unlabeled/",
    ),
    "mask_empty": Kind(
        "error",
        "{n} mask file{s} {are} empty ({files}), as after an interrupted copy or download; "
        "copy {it} again, or remove {it} and move the image{s} to unlabeled/",
    ),
    "mask_refused": Kind("error", "{n} mask{s} cannot be used ({files}): {details}"),
    "mask_colored": Kind(
        "error",
        "{n} mask{s} {are} in colour ({files}), but classes.json gives no colours, so the class of "
        'each colour is unknown; give each class its "color" there, or save masks as one channel '
        "of class ids",
    ),
    "mask_unknown_colors": Kind(
        "error",
        "{n} mask{s} {hold} colours of no class ({files}), namely {details}; add each to a class "
        'or to "ignore" in classes.json{hint}',
    ),
    "mask_values": Kind(
        "error",
        "{n} mask{s} {hold} values outside the class list ({files}), namely {details}; "
        "{ids}, so correct the mask{s} or name the missing classes{hint}",
    ),
    "mask_size": Kind(
        "error",
        "{n} mask{s} {have} another size than the image ({files}: {details}); save {it} at the "
        "size of the image",
    ),
    "mask_rotation": Kind(
        "error",
        "{n} mask{s} {have} another orientation than the image ({files}): the EXIF orientation "
        "rotates the image, but the mask was drawn on the image as stored; rotate the mask{s} too",
    ),
}


def problems_of_files(
    source: Source, seen: Sequence[ScannedImage], ignored_roles: Sequence[Role]
) -> list[Finding]:
    """Problems of single files; those of one kind and severity are one finding.

    Args:
        source: The data set.
        seen: The scanned images.
        ignored_roles: Sets that training does not use; their errors become warnings.
    """
    groups = dict[tuple[str, Severity], list[tuple[ScannedImage, str]]]()
    for one in seen:
        for problem in one.problems:
            severity = KINDS[problem.kind].severity
            if severity == "error" and one.role in ignored_roles:
                severity = "warning"
            groups.setdefault((problem.kind, severity), []).append((one, problem.detail))
    findings, numbering = [], numbering_of(source, seen)
    for (kind, severity), group in groups.items():
        members, details = [one for one, _ in group], [detail for _, detail in group]
        files = [_file(source, one, kind) for one in members]
        words = {
            "ids": ids_of(source),
            "details": _details(kind, members, details),
            "hint": _hint(kind, members, numbering),
        }
        findings.append(Finding(severity, kind, fill(KINDS[kind].sentence, files, **words), files))
    return findings


def numbering_of(source: Source, seen: Sequence[ScannedImage]) -> Numbering:
    """How the values in masks number the classes, judged from the values that are no class id."""
    masks = [one.mask for one in seen if one.mask is not None]
    strange = {value for mask in masks for value in mask.strange}
    if not strange or source.explains_values:
        return "places"
    count = source.num_classes
    present = {i for mask in masks for i in range(count) if mask.counts[i]} | strange
    if present == set(range(1, count + 1)):
        return "from one"
    # a value equal to the number of classes may be a class without name, or all ids may be one too
    # high; if most masks do not fit the list, the list probably belongs to other masks
    many = 2 * sum(bool(mask.strange) for mask in masks) >= len(masks)
    return "unclear" if count in strange or many else "places"


def ids_of(source: Source) -> str:
    """A clause with the values that the class list allows."""
    if isinstance(source, Folder) and (known := source.class_file.values):
        return f"classes.json names the values {listed([str(value) for value in sorted(known)])}"
    last = source.num_classes - 1
    return f"{last + 1} classes have the ids 0 to {last}, and {IGNORE} means ignore"


def _file(source: Source, one: ScannedImage, kind: str) -> str:
    place = one.record.mask if kind.startswith("mask_") else one.record.image
    return file_of(source, place, one.record)


def _details(kind: str, members: Sequence[ScannedImage], details: Sequence[str]) -> str:
    masks = [one.mask for one in members if one.mask is not None]
    if kind == "mask_values":
        values = Counter(value for mask in masks for value in mask.strange)
        return shown([_in_masks(f"{v}", n) for v, n in sorted(values.items())], 8)
    if kind == "mask_unknown_colors":
        colors = Counter(color for mask in masks for color in mask.unknown)
        return shown([_in_masks(f"{list(c)}", n) for c, n in colors.most_common()], 5)
    if kind in ("image_refused", "mask_refused", "mask_size"):
        return details[0]
    return listed(sorted(set(details)))


def _in_masks(what: str, number: int) -> str:
    return f"{what} in {number:,} mask{'s' * (number != 1)}"


def _hint(kind: str, members: Sequence[ScannedImage], numbering: Numbering) -> str:
    if kind == "mask_values" and numbering == "from one":
        return "; no mask holds 0: if ids count from 1 there, subtract 1"
    if kind == "mask_values" and numbering == "unclear":
        return (
            '; if a value is not the index of its class, give every class its "id" in '
            'classes.json, and list the values of no class under "ignore"'
        )
    masks = [one.mask for one in members if one.mask is not None]
    if kind == "mask_unknown_colors" and any(len(mask.unknown) > 50 for mask in masks):
        return (
            "; so many colours come from JPEG or from smoothed edges: save masks as PNG without "
            "smoothing"
        )
    return ""
