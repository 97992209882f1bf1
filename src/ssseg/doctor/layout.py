"""The folder layout as it lies there: what `Folder` refuses is noted, and the rest is read on."""

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from ssseg.data.datasets.base import Record, Split
from ssseg.data.datasets.class_list import ClassList
from ssseg.data.datasets.files import files_of, find_files, find_images, found_instead, name_of
from ssseg.data.datasets.folder import Folder
from ssseg.data.images import MASK_ENDINGS, ImageInfo, probe
from ssseg.doctor.findings import Finding, Severity, fill
from ssseg.errors import UserError

LOSSY = (".jpg", ".jpeg", ".webp")
SAMPLE = 25
"""Images that are opened to learn what most are like."""


class AnyFolder(Folder):
    """A folder data set that opens whatever is wrong with its files.

    Args:
        root: As of `Folder`; must exist, for there is nothing to look at otherwise.
        unlabeled: As of `Folder`; must exist.
        channels: As of `Folder`.
    """

    def __init__(
        self,
        root: str,
        unlabeled: str | Sequence[str] | None = None,
        channels: int | None = None,
    ) -> None:
        self.findings = list[Finding]()
        self.unmasked = list[Record]()
        """Images that should have a mask and have none."""
        super().__init__(root, unlabeled, channels)

    def _read_classes(self) -> ClassList:
        try:
            return super()._read_classes()
        except UserError as error:
            self._note(Finding("error", "classes", str(error), ["classes.json"]))
            return ClassList(self.root / "classes.json", [], {}, {})

    def _first(self) -> ImageInfo:
        """The first image of the usual kind, so that the odd one is found odd wherever it stands.

        Images that cannot be opened are found when all are read.
        """
        paths, found = self._images("train"), list[ImageInfo]()
        for path in paths[:: max(1, len(paths) // SAMPLE)]:
            with suppress(UserError):
                found.append(probe(path))
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
        # which image has which mask is not clear there
        unclear = twice | more
        without = {n: image for n, image in images.items() if n not in masks and n not in unclear}
        lossy = {name_of(path) for path in find_files(folder / "masks", LOSSY)} & set(without)
        # in another format, or a link that leads nowhere
        others = {name_of(path): path for path in files_of(folder / "masks")}
        unread = {name: path for name, path in others.items() if name in without}
        self.unmasked += [
            Record(name_of(path), path)
            for path in found
            if name_of(path) in without or name_of(path) in unclear
        ]
        self._say(
            _severity(split),
            "mask_missing",
            "{n} image{s} of " + split + " {have} no mask ({files}), and every image there needs "
            "one; add {example}, or move images without masks to unlabeled/",
            [image for name, image in without.items() if name not in unread],
            example=f"{split}/masks/NAME.png with the name of the image",
        )
        self._say(
            _severity(split),
            "mask_lossy",
            "{n} image{s} of " + split + " {have} a mask that is a JPEG or WebP file ({files}), "
            "which changes the values of pixels; save masks as PNG",
            [image for name, image in without.items() if name in lossy],
        )
        self._say(
            _severity(split),
            "mask_format",
            "{n} mask{s} of " + split + " {are} in a format that is not read, or {are} a link that "
            "leads nowhere ({files}); save masks as PNG",
            [path for name, path in unread.items() if name not in lossy],
        )
        self._say(
            "note",
            "mask_lonely",
            "{n} mask{s} of " + split + " {have} no image of the same name ({files}) and will not "
            "be used; give image and mask the same name if they belong together",
            [mask for name, mask in masks.items() if name not in images],
        )
        clear = {name: image for name, image in images.items() if name not in unclear}
        return [Record(name, path, masks[name]) for name, path in clear.items() if name in masks]

    def _named(self, split: Split, paths: list[Path]) -> tuple[dict[str, Path], set[str]]:
        """Files by their names without ending, and the names that several have."""
        groups = dict[str, list[Path]]()
        for path in paths:
            groups.setdefault(name_of(path), []).append(path)
        self._say(
            _severity(split),
            "names_twice",
            "{n} files of " + split + " share their name with another but for the ending "
            "({files}), so that nothing says which image has which mask; rename or remove some",
            [path for group in groups.values() if len(group) > 1 for path in group],
        )
        twice = {name for name, group in groups.items() if len(group) > 1}
        return {name: group[0] for name, group in groups.items()}, twice

    def unlabeled(self) -> list[Record]:
        """The images of those unlabeled folders that hold some."""
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

    def _say(
        self, severity: Severity, kind: str, template: str, paths: list[Path], **more: str
    ) -> None:
        if paths:
            files = [str(path.relative_to(self.root)) for path in paths]
            self._note(Finding(severity, kind, fill(template, files, **more), files))

    def _note(self, finding: Finding) -> None:
        if finding not in self.findings:
            self.findings.append(finding)


def _severity(split: Split) -> Severity:
    """Training does not look at test images."""
    return "warning" if split == "test" else "error"
