"""A corrected copy of a data set in the folder layout. The original is only read."""

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import tifffile
from PIL import Image

from ssseg.data.datasets.base import Array, Pixels, Source
from ssseg.data.datasets.files import Files
from ssseg.data.image_io import IMAGE_ENDINGS
from ssseg.data.labels import binary_sets
from ssseg.data.nodata import gaps_of
from ssseg.data.splits.held_out import held_out_count, hold_out
from ssseg.data.tiff import NODATA
from ssseg.datacheck.dataset import Sets
from ssseg.datacheck.dataset_rules import counted
from ssseg.datacheck.file_rules import ids_of, numbering_of
from ssseg.datacheck.findings import Role, file_of, fill, shown
from ssseg.datacheck.masks import read_mask
from ssseg.datacheck.scan import ScannedImage
from ssseg.errors import UserError
from ssseg.types import IGNORE


class Repair(NamedTuple):
    """The corrections that apply to all masks of a data set."""

    source: Source
    binary: Sequence[str]
    """Sets in whose masks 255 means the second of two classes."""
    shift: bool
    """Whether ids start at 1."""

    def mask(self, one: ScannedImage, report: Callable[[str, str], None]) -> Array:
        """The corrected mask of a record, (H, W) uint8.

        Args:
            one: A record for which `usable_size` and `has_labels` are True.
            report: Called with a key of `REASONS` and the file, for each correction.
        """
        assert one.image is not None
        assert one.mask is not None
        found = read_mask(self.source, one.record)
        ids, num_classes = found.ids.astype(np.int64), self.source.num_classes
        name = file_of(self.source, one.record.mask, one.record)
        if self.shift:
            ids[(ids > 0) & (ids <= num_classes)] -= 1
            report("shift", name)
        strange = (ids != IGNORE) & ((ids < 0) | (ids >= num_classes))
        if strange.any() or found.unknown or found.strange:
            ids[strange] = IGNORE
            report("values", name)
        if one.role in self.binary and (ids == IGNORE).any():
            ids[ids == IGNORE] = 1
            report("binary", name)
        if one.mask.colored:
            report("colors", name)
        if found.renumbered:
            report("ids", name)
        kinds = [problem.kind for problem in one.problems]
        out: Array = ids.astype(np.uint8)
        if "mask_rotation" in kinds:
            out = np.asarray(Image.fromarray(out).transpose(TURNS[one.image.orientation]))
            report("turned", name)
        elif "mask_size" in kinds:
            size = (one.image.width, one.image.height)
            out = cv2.resize(out, size, interpolation=cv2.INTER_NEAREST_EXACT)
            report("resized", name)
        return out


def usable_size(one: ScannedImage) -> bool:
    """Whether the mask has the size of the image, or can be resized or rotated to it."""
    if one.image is None or one.mask is None:
        return False
    if "mask_size" not in [problem.kind for problem in one.problems]:
        return True
    image, mask = one.image, one.mask
    # the same aspect ratio, up to the rounding of one side to whole pixels
    difference = abs(mask.width * image.height - mask.height * image.width)
    return difference <= max(image.height, image.width)


def has_labels(one: ScannedImage, repair: Repair) -> bool:
    """Whether the corrected mask has labeled pixels."""
    if one.mask is None:
        return False
    labeled = sum(one.mask.counts[:IGNORE])
    return bool(labeled or one.role in repair.binary or (repair.shift and one.mask.strange))


def save_array(image: Array, pixels: Pixels, path: Path) -> None:
    """Save an image as a PNG or TIFF file that is read back with the same values.

    Args:
        image: (H, W, C), as `Source.read_image` returns it.
        pixels: Kind of the values.
        path: Path without suffix.
    """
    if pixels == "uint8" and image.shape[-1] in (1, 3, 4):
        Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).save(f"{path}.png")
    else:
        # read_image gives 16 bits as floats in [0, 1]
        sixteen = pixels == "uint16"
        gaps = gaps_of(image)
        nodata = [] if gaps is None else [(NODATA, "s", 0, "0" if sixteen else "nan", True)]
        values = np.round(np.nan_to_num(image) * 65535).astype(np.uint16) if sixteen else image
        # without this option tifffile would save each row as a page
        planes: dict[str, Any] = {"planarconfig": "contig"} if values.shape[-1] > 1 else {}
        values = values if planes else values[..., 0]
        tifffile.imwrite(
            f"{path}.tif", values, photometric="minisblack", extratags=nodata, **planes
        )


TURNS = {
    # EXIF orientation -> the transposition that displays the stored image
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


FOLDERS: dict[Role, str] = {"test": "test", "val": "val", "labeled": "train"}
"""Sets with masks. An image in several sets goes to the first: test, then val, then train."""
VAL = "0.2"
"""Share of the labeled images that are held out where there are no validation images."""
UNUSABLE = ("image_kind", "image_channels", "image_not_finite")
REASONS = {
    "broken": "{n} image{s} left out, because {they} cannot be used ({files})",
    "scored": "{n} image{s} left out, because val or test contains the same image ({files})",
    "held out": "{n} labeled image{s} put into val/, which had none ({files})",
    "no mask": "{n} image{s} put into unlabeled/, because {they} {have} no usable mask ({files})",
    "shift": "1 subtracted from the ids in {n} mask{s} ({files})",
    "binary": "255 changed to 1 in {n} mask{s} ({files})",
    "values": "values of no class changed to 255 (ignore) in {n} mask{s} ({files})",
    "colors": "{n} mask{s} in colour converted to class ids ({files})",
    "ids": "values of {n} mask{s} converted to indices into the class list ({files})",
    "turned": "{n} mask{s} rotated like the image ({files})",
    "resized": "{n} mask{s} resized to the image ({files})",
}


class Done(dict[str, list[str]]):
    """The files that were corrected, by key of `REASONS`."""

    def add(self, reason: str, file: str) -> None:
        """Add a file."""
        self.setdefault(reason, []).append(file)

    def sentences(self) -> list[dict[str, object]]:
        """One sentence per kind of correction, for the report."""
        known = [reason for reason in REASONS if reason in self]
        return [{"text": fill(REASONS[r], self[r]), "files": self[r]} for r in known]


def check_out(source: Source, out: Path) -> None:
    """Raise `UserError` for a folder that is not empty or is inside the data set."""
    if out.is_file() or (out.is_dir() and any(out.iterdir())):
        raise UserError(
            f"option --fix: {out} exists and is not empty; give a new folder for the copy"
        )
    own = [getattr(source, "root", None), *getattr(source, "unlabeled_folders", [])]
    for folder in getattr(source, "folders", own):
        if isinstance(folder, Path) and out.resolve().is_relative_to(folder.resolve()):
            raise UserError(
                f"option --fix: {out} is inside the data set {folder}, which must not change; "
                "give a folder outside of it"
            )


def write_copy(sets: Sets, seen: Sequence[ScannedImage], out: Path) -> list[dict[str, object]]:
    """Write the corrected copy.

    Args:
        sets: The divided data set.
        seen: The scanned images.
        out: A folder that passed `check_out`.

    Returns:
        Sentences about the corrections, with the files concerned.

    Raises:
        UserError: If the meaning of the values in masks is unknown, no training image has a usable
            mask, or the copy cannot be written.
    """
    source, done = sets.source, Done()
    if not source.classes:
        why = "".join(f" ({found.text})" for found in sets.findings if found.kind == "classes")
        raise UserError(
            "option --fix: without a class list the meaning of the values in masks is unknown; "
            f"write classes.json first{why}"
        )
    numbering = numbering_of(source, seen)
    if numbering == "unclear":
        raise _unclear(source, seen)
    binary = binary_sets(source, counted(source, seen))
    repair = Repair(source, binary, numbering == "from one")
    chosen = choose(source, seen, repair, done)
    if not any(folder == "train" for folder, _ in chosen):
        raise UserError(
            "option --fix: no training image has a usable mask, so there is nothing to copy; see "
            "the errors above"
        )
    if not any(folder == "val" for folder, _ in chosen):
        chosen = with_validation(source, chosen, done)
    try:
        names = dict[str, set[str]]()
        for folder, one in chosen:
            name = _free_name(one, names.setdefault(folder, set()))
            images = out / folder if folder == "unlabeled" else out / folder / "images"
            _write_image(source, one, images, name)
            if folder != "unlabeled":
                ids = repair.mask(one, done.add)
                save_mask(ids, source, out / folder / "masks" / f"{name}.png")
        _write_classes(source, out)
    except OSError as error:
        raise UserError(f"option --fix: the copy in {out} is not complete: {error}") from error
    return done.sentences()


def _unclear(source: Source, seen: Sequence[ScannedImage]) -> UserError:
    """The error for values with an unclear meaning; the copy would contain guessed labels."""
    masks = [one.mask for one in seen if one.mask is not None]
    values = {v for mask in masks for v in [*mask.strange, *np.flatnonzero(mask.counts).tolist()]}
    name = json.dumps(source.classes[0].name, ensure_ascii=False)
    return UserError(
        f"option --fix: masks hold the values {shown(sorted(values - {IGNORE}), 8)}, but "
        f"{ids_of(source)}, so the class of each value is unknown; give every class its "
        '"id" in classes.json, and list the values of no class under "ignore", as in '
        f'{{"classes": [{{"name": {name}, "id": 1}}, ...], "ignore": [0]}}'
    )


def choose(
    source: Source, seen: Sequence[ScannedImage], repair: Repair, done: Done
) -> list[tuple[str, ScannedImage]]:
    """Images with their new folder: `train`, `val`, `test` or `unlabeled`."""
    chosen, rest = list[tuple[str, ScannedImage]](), list[ScannedImage]()
    scored = set[str]()
    for role in (*FOLDERS, "unlabeled", "unmasked"):
        for one in seen:
            if one.role != role:
                continue
            name = file_of(source, one.record.image, one.record)
            kinds = [problem.kind for problem in one.problems]
            if one.image is None or set(kinds) & set(UNUSABLE):
                done.add("broken", name)
            elif role == "labeled" and one.image.digest in scored:
                done.add("scored", name)
            elif role in FOLDERS and usable_size(one) and has_labels(one, repair):
                chosen.append((FOLDERS[role], one))
                if role != "labeled":
                    scored.add(one.image.digest)
            else:
                rest.append(one)
    for one in rest:
        name = file_of(source, one.record.image, one.record)
        if one.image is not None and one.image.digest in scored:
            done.add("scored", name)
        else:
            chosen.append(("unlabeled", one))
            if one.role != "unlabeled":
                done.add("no mask", name)
    return chosen


def with_validation(
    source: Source, chosen: Sequence[tuple[str, ScannedImage]], done: Done
) -> list[tuple[str, ScannedImage]]:
    """Hold out a share of the training images, so that the copy also validates.

    None where single images are all that shows a class.
    """
    train = [one for folder, one in chosen if folder == "train"]
    shown = np.zeros((len(train), source.num_classes), bool)
    digests = list[str]()
    for row, one in zip(shown, train, strict=True):
        assert one.image is not None
        assert one.mask is not None
        row[:] = np.array(one.mask.counts[: source.num_classes]) > 0
        digests.append(one.image.digest)
    count = held_out_count(VAL, len(train), "fix")
    held = {id(train[place]) for place in hold_out(shown, digests, count, seed=0)}
    for one in train:
        if id(one) in held:
            done.add("held out", file_of(source, one.record.image, one.record))
    return [("val" if id(one) in held else folder, one) for folder, one in chosen]


def save_mask(ids: object, source: Source, path: Path) -> None:
    """Save class ids (H, W) uint8 as a PNG whose palette has the colours of the classes."""
    colors = [info.color for info in source.classes]
    blank = [(0, 0, 0)] * (255 - len(colors))
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(ids)  # type: ignore[arg-type]
    image.putpalette([value for color in [*colors, *blank, (255, 255, 255)] for value in color])
    image.save(path)


def _write_image(source: Source, one: ScannedImage, folder: Path, name: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    path = one.record.image
    if (
        isinstance(path, Path)
        and isinstance(source, Files)
        and path.suffix.lower() in IMAGE_ENDINGS
    ):
        shutil.copyfile(path, folder / f"{name}{path.suffix.lower()}")
    else:
        save_array(source.read_image(one.record), source.pixels, folder / name)


def _free_name(one: ScannedImage, taken: set[str]) -> str:
    """A file name from the record's id that no other image of the folder has."""
    path, name = one.record.image, one.record.id
    if isinstance(path, Path) and name.endswith(path.suffix):
        name = name.removesuffix(path.suffix)
    name = name.replace("/", "_").replace("\\", "_").lstrip(".") or "image"
    number, free = 2, name
    while free.lower() in taken:  # for some file systems A.png and a.png are the same
        free = f"{name}-{number}"
        number += 1
    taken.add(free.lower())
    return free


def _write_classes(source: Source, out: Path) -> None:
    colors = [info.color for info in source.classes]
    entries = [
        # only colours of a single class are written
        {"name": c.name, **({"color": list(c.color)} if colors.count(c.color) == 1 else {})}
        for c in source.classes
    ]
    text = json.dumps({"classes": entries}, indent=1, ensure_ascii=False)
    (out / "classes.json").write_text(text + "\n", encoding="utf-8")
