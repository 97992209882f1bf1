"""Which mask belongs to which image, by the names that people give them."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from ssseg.data.datasets.base import Record
from ssseg.data.datasets.files import find_files, find_images, found_instead
from ssseg.data.findings import listed
from ssseg.data.image_io import IMAGE_ENDINGS, MASK_ENDINGS
from ssseg.errors import UserError
from ssseg.runs.paths import composed

LOSSY = (".jpg", ".jpeg", ".webp")
WORDS = ("mask", "masks", "label", "labels", "labelIds", "seg", "segmentation", "gt")
"""What may follow an image's name in that of its mask, after `_`, `-`, `.` or a space."""
_WORDY = re.compile(rf"(.+)[_\-. ](?:{'|'.join(WORDS)})", re.IGNORECASE)
SHOWN = 3
"""Pairs that are not clear, of which a message shows the names."""
NAMES = "NAME.png, NAME_mask.png, NAME_label.png or NAME_labelIds.png"


class Paired(NamedTuple):
    """What lies in the folders."""

    labeled: list[Record]
    """Images with masks, in the order of their ids."""
    unlabeled: list[Record]
    lonely: list[Path]
    """Masks that no image has."""


class Unclear(NamedTuple):
    """A mask of which it is not clear whose it is."""

    text: str
    remedy: str


class Template:
    """How masks are named, where the usual names do not do.

    Args:
        text: Holds `{name}` once, which stands for the name of the image, e.g. `{name}_gt.png`.

    Raises:
        UserError: For a text without it.
    """

    def __init__(self, text: str) -> None:
        if text.count("{name}") != 1:
            raise UserError(
                f"option data.mask_name is {text!r}; expected a name with {{name}} in the place of "
                "the image's name, such as {name}_gt.png"
            )
        self.text = text
        self.whole = Path(text).suffix.lower() in MASK_ENDINGS
        before, after = (re.escape(composed(part)) for part in text.split("{name}"))
        self.pattern = re.compile(f"{before}(.+){after}")

    def name_in(self, place: str, suffix: str) -> str | None:
        """The name of the image that a mask is of.

        Args:
            place: Of the mask in its folder, without its ending.
            suffix: The ending.
        """
        folder, slash, file = place.rpartition("/")
        if "/" in self.text:
            folder, slash, file = "", "", place
        found = self.pattern.fullmatch(file + suffix if self.whole else file)
        return None if found is None else f"{folder}{slash}{found[1]}"


def pair_up(images: Path, masks: Path | None = None, mask_name: str | None = None) -> Paired:
    """Find the images of a folder and its subfolders, and the mask of each that has one.

    A mask is named like its image, or with one of `WORDS` behind, and lies in the same subfolder;
    or all of one kind lie in no subfolder.

    Args:
        images: The folder of images.
        masks: The folder of masks, which may lie in the other, and the other in it. None: masks lie
            beside the images.
        mask_name: A `Template` instead of the usual names.

    Raises:
        UserError: Where there is nothing to pair, or pairs are not clear.
    """
    template = None if mask_name is None else Template(mask_name)
    found = find_images(images, deep=True)
    if not found:
        raise UserError(
            f"there are no images in {images}{found_instead(images, deep=True)}; expected files "
            f"ending in {', '.join(IMAGE_ENDINGS)}"
        )
    if masks is None or masks.resolve() == images.resolve():
        return _beside(images, found, template)
    found = _outside(found, images, masks)
    if not found:
        raise UserError(f"there are no images in {images} besides the masks in {masks}")
    named = _by_place(images, found)
    written = _outside(find_files(masks, MASK_ENDINGS, deep=True), masks, images)
    if not written:
        raise UserError(
            f"there are no masks in {masks}{_lossy(masks)}; expected PNG files named like the "
            f"images: {NAMES}"
        )
    owners = {mask: _owners(place_of(masks, mask), mask, named, template) for mask in written}
    if not any(owners.values()):
        raise UserError(
            f"none of the {len(written)} masks in {masks} is named like an image (e.g. "
            f"{written[0].name}, and the image {found[0].name}); expected {NAMES}, or say how "
            "they are named with --data.mask_name, such as '{name}_gt.png'"
        )
    return _paired(named, owners)


def place_of(folder: Path, path: Path) -> str:
    """Where a file lies in a folder, without its ending: by this images and masks find each other.

    Accents are written as one letter or as two, depending on where a file comes from: here as one.
    """
    return composed((path.parent.relative_to(folder) / path.stem).as_posix())


def _beside(folder: Path, files: Sequence[Path], template: Template | None) -> Paired:
    """Pairs among files of one folder: what is named after another file is its mask."""
    named = _by_place(folder, files)
    owners = dict[Path, list[str]]()
    for path in files:
        place = place_of(folder, path)
        if path.suffix.lower() not in MASK_ENDINGS:
            continue
        if template is not None:
            name = template.name_in(place, path.suffix)
            if name is not None and any(other != path for other in named.get(name, [])):
                owners[path] = [name]
        elif (wordy := _WORDY.fullmatch(place)) and wordy[1] in named:
            owners[path] = [wordy[1]]
        elif any(other.suffix.lower() in LOSSY for other in named[place]):
            owners[path] = [place]
    if not owners:
        raise UserError(
            f"no image in {folder} has a mask beside it (it holds {len(files)} images, e.g. "
            f"{files[0].name}); give the folder of masks with --data.masks, or name masks like the "
            f"images: {NAMES}"
        )
    photographs = _by_place(folder, [path for path in files if path not in owners])
    return _paired(photographs, owners)


def _owners(
    place: str, mask: Path, named: Mapping[str, list[Path]], template: Template | None
) -> list[str]:
    """The images that a mask may be of; several only where the same name lies in subfolders."""
    if template is not None:
        name = template.name_in(place, mask.suffix)
        meanings = [] if name is None else [name]
    else:
        wordy = _WORDY.fullmatch(place)
        meanings = [place, *([wordy[1]] if wordy else [])]
    for name in meanings:
        if name in named:
            return [name]
    for name in meanings:
        last = name.rpartition("/")[2]
        if "/" not in name:
            flat = [other for other in named if other.rpartition("/")[2] == last]
        else:
            flat = [last] if last in named else []
        if flat:
            return flat
    return []


def _paired(named: Mapping[str, list[Path]], owners: Mapping[Path, list[str]]) -> Paired:
    """The records; raises UserError for all pairs that are not clear."""
    mask_of, unclear = dict[str, Path](), list[Unclear]()
    for mask, names in owners.items():
        if len(names) > 1 or (names and len(named.get(names[0], [])) > 1):
            paths = [path for name in names for path in named[name]]
            unclear.append(
                Unclear(
                    f"mask {mask} may belong to {paths[0]} or to {paths[1]}, which have the same "
                    "name",
                    "rename one of them, or lay masks into the same subfolders as images",
                )
            )
            continue
        for name in names:
            first = mask_of.setdefault(name, mask)
            if first != mask:
                unclear.append(
                    Unclear(
                        f"{first} and {mask.name} may both be the mask of {named[name][0]}",
                        "remove one, or say how masks are named with --data.mask_name, such as "
                        "'{name}_mask.png'",
                    )
                )
    if unclear:
        raise UserError(_all_of(unclear))
    labeled = [
        Record(name, named[name][0], mask_of[name]) for name in sorted(named) if name in mask_of
    ]
    unlabeled = [
        Record(name, path)
        for place in sorted(named)
        if place not in mask_of
        for name, path in zip(_ids(place, named[place]), named[place], strict=True)
    ]
    return Paired(labeled, unlabeled, [mask for mask, names in owners.items() if not names])


def _all_of(unclear: Sequence[Unclear]) -> str:
    """The first pairs that are not clear, the number of the others, and what to do."""
    texts = [one.text for one in unclear[:SHOWN]]
    if len(unclear) > SHOWN:
        texts.append(f"and {len(unclear) - SHOWN:,} more")
    count = f"{len(unclear):,} pairs of images and masks are not clear: " * (len(unclear) > 1)
    remedies = dict.fromkeys(one.remedy for one in unclear)
    return f"{count}{'; '.join(texts)}; {'; '.join(remedies)}"


def _ids(place: str, paths: Sequence[Path]) -> list[str]:
    """An id for each image of one name."""
    if len(paths) == 1:
        return [place]
    return [f"{place}{path.suffix}#{number}" for number, path in enumerate(paths, 1)]


def _by_place(folder: Path, paths: Iterable[Path]) -> dict[str, list[Path]]:
    found = defaultdict[str, list[Path]](list)
    for path in paths:
        found[place_of(folder, path)].append(path)
    return dict(found)


def _outside(paths: Sequence[Path], folder: Path, other: Path) -> list[Path]:
    """The files of a folder that do not lie in the other, which may be inside it."""
    home, away = folder.resolve(), other.resolve()
    if not away.is_relative_to(home):
        return list(paths)
    return [path for path in paths if not path.parent.resolve().is_relative_to(away)]


def _lossy(masks: Path) -> str:
    """What is no mask there but may be meant as one, for messages."""
    lossy = find_files(masks, LOSSY, deep=True)
    if not lossy:
        return found_instead(masks, deep=True)
    kinds = listed(sorted({path.suffix.lower() for path in lossy}))
    return f" (it holds {len(lossy)} {kinds} files, which change the values of pixels)"
