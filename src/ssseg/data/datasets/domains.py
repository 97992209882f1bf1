"""Two folders for domain adaptation: labels from a source domain, scores on a target domain.

labeled_root/
classes.json
train/images/*  train/masks/*    labeled
unlabeled_root/
train/images/*  unlabeled/*      unlabeled; one of the two is enough, masks are not read
val/images/*    val/masks/*      scored
test/images/*   test/masks/*     optional
classes.json                     optional, with the same names; else that of labeled_root
"""

from pathlib import Path

from ssseg.data.datasets.base import Array, Record, Split
from ssseg.data.datasets.class_list import ClassList, read_classes
from ssseg.data.datasets.files import Files, existing_folder, find_images
from ssseg.data.datasets.folder import Folder
from ssseg.data.datasets.official import unlabeled_records
from ssseg.data.image_io import ImageInfo
from ssseg.errors import UserError


class Domains(Files):
    """Labeled images of a source domain, unlabeled and scored images of a target domain.

    Both folders have the layout of `Folder`. Only the training images of the source are used.

    Args:
        labeled_root: The folder of the source, with `classes.json` and `train/`.
        unlabeled_root: The folder of the target. Images in `train/images` and `unlabeled` are
            unlabeled, and their masks are not read; `val` and `test` are scored.
        channels: Number of channels with which images are read. None: as in the first image of the
            source.

    Raises:
        UserError: For a missing folder or file, and for a target with other classes.
    """

    name = "domains"

    def __init__(self, labeled_root: str, unlabeled_root: str, channels: int | None = None) -> None:
        source = "give the folder of the source domain, that holds train/ and classes.json"
        target = "give the folder of the target domain, that holds its unlabeled images and val/"
        existing_folder("data.labeled_root", labeled_root, source)
        existing_folder("data.unlabeled_root", unlabeled_root, target)
        self.source = Folder(labeled_root, channels=channels)
        self.target = _Target(unlabeled_root, self.source)
        self.name = f"{self.source.name}-to-{self.target.name}"
        self.classes, self.explains_values = self.source.classes, self.source.explains_values
        self.in_channels, self.pixels = self.source.in_channels, self.source.pixels
        names, theirs = ([c.name for c in d.classes] for d in (self.source, self.target))
        if names != theirs:
            raise UserError(
                f"{self.target.class_file.path} has the classes {', '.join(theirs)}, but "
                f"{self.source.class_file.path} has {', '.join(names)}; expected the same list in "
                "both folders"
            )

    def records(self, split: Split) -> list[Record]:
        """Training images of the source; validation and test images of the target."""
        return (self.source if split == "train" else self.target).records(split)

    def unlabeled(self) -> list[Record]:
        """The training images of the target, without masks, and those in its `unlabeled/`."""
        root = self.target.root
        folders = [root / "train" / "images", root / "unlabeled"]
        found = unlabeled_records([f for f in folders if f.is_dir() and find_images(f, deep=True)])
        if not found:
            raise UserError(
                f"option data.unlabeled_root is {root}, which has no images in train/images or "
                "unlabeled; put the unlabeled images of the target there"
            )
        return found

    def notices(self) -> list[str]:
        """Messages about files of both folders that are not read."""
        return [*self.source.notices(), *self.target.notices()]

    @property
    def meaning(self) -> str | None:
        """As in `Folder`, of both folders."""
        return f"{self.source.meaning} {self.target.meaning}"

    @property
    def class_list(self) -> str:
        """The place where the classes are listed, for messages."""
        return "classes.json"

    def decode(self, values: Array, path: Path) -> Array:
        """Class ids of values or colours, as the `classes.json` of the mask's folder maps them."""
        around = [d for d in (self.source, self.target) if path.is_relative_to(d.root)]
        # one folder may lie in the other
        nearest = max(around, key=lambda d: len(d.root.parts), default=self.source)
        return nearest.decode(values, path)


class _Target(Folder):
    """A folder whose class list and first training image may be those of another folder."""

    def __init__(self, root: str, like: Folder) -> None:
        self.like = like
        super().__init__(root, channels=like.in_channels)

    def _read_classes(self) -> ClassList:
        own = self.root / "classes.json"
        return read_classes(own) if own.is_file() else self.like.class_file

    def _first(self) -> ImageInfo:
        return self.like._first()
