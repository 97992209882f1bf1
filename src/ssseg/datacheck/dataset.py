"""Opens a data set for `ssseg doctor`: errors become findings, and reading continues."""

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ssseg.data.datasets.base import Array, Record, Source, Split
from ssseg.data.datasets.class_list import ClassList
from ssseg.data.datasets.files import files_of, find_files, find_images, found_instead, name_of
from ssseg.data.datasets.folder import Folder
from ssseg.data.datasets.pairs import Pairs
from ssseg.data.image_io import MASK_ENDINGS, ImageInfo, image_info
from ssseg.data.splits.labeled_split import LabeledSplit, Select, split_labeled
from ssseg.datacheck.findings import Finding, Role, Severity, fill
from ssseg.datacheck.masks import Refused, facts_of, read_mask
from ssseg.errors import UserError
from ssseg.runs.paths import as_path

LOSSY = (".jpg", ".jpeg", ".webp")
SAMPLE = 25
"""Number of images that are opened to find the most frequent kind of values."""


class AnyFolder(Folder):
    """A folder data set that records problems of its files as findings instead of raising.

    Args:
        root: As in `Folder`; must exist.
        unlabeled: As in `Folder`; must exist.
        channels: As in `Folder`.
    """

    def __init__(
        self,
        root: str,
        unlabeled: str | Sequence[str] | None = None,
        channels: int | None = None,
    ) -> None:
        self.findings = list[Finding]()
        self.unmasked = list[Record]()
        """Images that need a mask and have none."""
        super().__init__(root, unlabeled, channels)

    def _read_classes(self) -> ClassList:
        try:
            return super()._read_classes()
        except UserError as error:
            self._note(Finding("error", "classes", str(error), ["classes.json"]))
            return ClassList(self.root / "classes.json", [], {}, {})

    def _first(self) -> ImageInfo:
        """The first image with the most frequent kind of values.

        An image of another kind is then reported wherever it is in the list. Images that cannot be
        opened are skipped here and reported when all images are read.
        """
        paths, found = self._images("train"), list[ImageInfo]()
        for path in paths[:: max(1, len(paths) // SAMPLE)]:
            with suppress(UserError):
                found.append(image_info(path))
        kinds = Counter(info.pixels for info in found)
        usual = (info for info in found if info.pixels == kinds.most_common(1)[0][0])
        return next(usual, ImageInfo(0, 0, 3, "uint8"))

    def _images(self, split: Split) -> list[Path]:
        try:
            return super()._images(split)
        except UserError as error:
            self._note(Finding(_severity(split), "images_missing", str(error)))
            return []

    def _find(self, split: Split) -> list[Record]:
        folder = self.root / split
        if not folder.is_dir() and split != "train":
            return []
        found = self._images(split)
        masks, twice = self._named(split, find_files(folder / "masks", MASK_ENDINGS))
        images, more = self._named(split, found)
        # for these names it is unknown which mask belongs to which image
        unclear = twice | more
        without = {n: image for n, image in images.items() if n not in masks and n not in unclear}
        lossy = {name_of(path) for path in find_files(folder / "masks", LOSSY)} & set(without)
        # in another format, or a broken link
        others = {name_of(path): path for path in files_of(folder / "masks")}
        unread = {name: path for name, path in others.items() if name in without}
        self.unmasked += [
            Record(name_of(path), path)
            for path in found
            if name_of(path) in without or name_of(path) in unclear
        ]
        self._add(
            _severity(split),
            "mask_missing",
            "{n} image{s} of " + split + " {have} no mask ({files}), and every image there needs "
            "one; add {example}, or move images without masks to unlabeled/",
            [image for name, image in without.items() if name not in unread],
            example=f"{split}/masks/NAME.png with the name of the image",
        )
        self._add(
            _severity(split),
            "mask_lossy",
            "{n} image{s} of " + split + " {have} a mask that is a JPEG or WebP file ({files}), "
            "which changes the values of pixels; save masks as PNG",
            [image for name, image in without.items() if name in lossy],
        )
        self._add(
            _severity(split),
            "mask_format",
            "{n} mask{s} of " + split + " {are} in a format that is not supported, or {are} a "
            "broken link ({files}); save masks as PNG",
            [path for name, path in unread.items() if name not in lossy],
        )
        self._add(
            "note",
            "mask_without_image",
            "{n} mask{s} of " + split + " {have} no image of the same name ({files}) and will not "
            "be used; give image and mask the same name if they belong together",
            [mask for name, mask in masks.items() if name not in images],
        )
        clear = {name: image for name, image in images.items() if name not in unclear}
        return [Record(name, path, masks[name]) for name, path in clear.items() if name in masks]

    def _named(self, split: Split, paths: list[Path]) -> tuple[dict[str, Path], set[str]]:
        """Files by name without suffix, and the names that several files have."""
        groups = dict[str, list[Path]]()
        for path in paths:
            groups.setdefault(name_of(path), []).append(path)
        self._add(
            _severity(split),
            "names_twice",
            "{n} files of " + split + " have the same name as another file, with another suffix "
            "({files}), so it is unknown which mask belongs to which image; rename or remove some",
            [path for group in groups.values() if len(group) > 1 for path in group],
        )
        twice = {name for name, group in groups.items() if len(group) > 1}
        return {name: group[0] for name, group in groups.items()}, twice

    def unlabeled(self) -> list[Record]:
        """The images of all unlabeled folders that contain images."""
        folders = self.unlabeled_folders
        self.unlabeled_folders = [f for f in folders if find_images(f, deep=True)]
        for folder in folders:
            if folder not in self.unlabeled_folders:
                text = (
                    f"there are no images in the unlabeled folder {folder}"
                    f"{found_instead(folder, deep=True)}, and training stops at "
                    "an empty one; put images there, or remove it"
                )
                self._note(Finding("error", "images_missing", text))
        return super().unlabeled()

    def _add(
        self, severity: Severity, kind: str, template: str, paths: list[Path], **more: str
    ) -> None:
        if paths:
            files = [str(path.relative_to(self.root)) for path in paths]
            self._note(Finding(severity, kind, fill(template, files, **more), files))

    def _note(self, finding: Finding) -> None:
        if finding not in self.findings:
            self.findings.append(finding)


def _severity(split: Split) -> Severity:
    """Severity of a problem in a set; training does not use test images."""
    return "warning" if split == "test" else "error"


class Plan(NamedTuple):
    """Options of the planned training."""

    labeled: str | None = None
    """As `--data.labeled`; None: the default of the data set."""
    select: Select = "random"
    """As `--data.select`."""
    split_seed: int = 0
    """As `--data.split_seed`."""
    method: str | None = None
    """Name of the method; None: not chosen yet."""
    network: str | None = None
    """Name of the network; None: the default of the data set."""
    max_steps: int = 800
    """Number of optimiser steps."""
    batch_size: int | None = None
    """Labeled images per step; None: the default of the data set."""


class Sets(NamedTuple):
    """A data set, divided into sets as for training."""

    source: Source
    split: LabeledSplit
    records: dict[Role, list[Record]]
    """Records of each set; those of `unlabeled` and `unmasked` have no mask."""
    findings: list[Finding]
    """Problems that were found while the data set was opened."""


def open_sets(make: partial[Source], plan: Plan) -> Sets | Finding:
    """Open a data set and divide it; errors of the data set become findings.

    Args:
        make: Function that opens the data set.
        plan: Options of the planned training; `labeled`, `select` and `split_seed` are used.

    Returns:
        The divided data set, or a finding if it cannot be opened.

    Raises:
        UserError: For options that do not fit the data set.
    """
    cls = AnyFolder if make.func is Folder else make.func
    try:
        source: Source = cls(*make.args, **make.keywords)
    except UserError as error:
        if cls is AnyFolder:  # raised only if the folder does not exist
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
        if not (source.root / "train").is_dir():
            text = (
                f"there is no train/ in {source.root}; images and masks that lie in folders of "
                "their own are read with --data.images DIR --data.masks DIR instead"
            )
            findings.append(Finding("note", "no_layout", text))
    findings += [Finding("warning", "left_out", remark) for remark in source.notices()]
    findings += [Finding("note", "chosen", remark) for remark in source.choices()]
    if isinstance(source, Pairs) and source.derived is not None:
        text = (
            f"a class list for these masks, to be given names and saved as "
            f"{source.class_file.path}: {source.derived.text}"
        )
        findings.append(Finding("note", "classes_found", text))
    split = _divide(source, train, plan, findings)
    # masks of unlabeled images are not read
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
        # the option may be correct and name an image whose mask is still missing or broken
        findings.append(Finding("error", "split", str(error)))
        return LabeledSplit("all", train, [])
    findings += [Finding("note", "split", remark) for remark in split.notices]
    return split


def _presence(source: Source, records: list[Record]) -> Array:
    """Whether each class occurs in each mask, (N, C) bool; False for masks that cannot be read."""
    shown = np.zeros((len(records), source.num_classes), bool)
    for row, record in zip(shown, records, strict=True):
        with suppress(Refused):
            counts = facts_of(source, record, read_mask(source, record)).counts
            row[:] = np.array(counts[: source.num_classes]) > 0
    return shown
