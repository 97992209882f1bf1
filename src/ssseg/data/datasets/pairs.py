"""Images in one folder, masks of some of them in another or beside them: no layout, no lists.

photos/*                        images; subfolders are searched
masks/NAME.png                  or NAME_mask.png, NAME_label.png, NAME_labelIds.png
masks/classes.json              optional: names of the classes; else they are derived from the masks
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ssseg.data.datasets.base import Array, Record, Split, crop_within
from ssseg.data.datasets.class_list import (
    class_list_of,
    ids_of_colors,
    ids_of_values,
    read_classes,
)
from ssseg.data.datasets.derived_classes import Derived, derive_classes, grey_of
from ssseg.data.datasets.files import Files, existing_folder, left_out
from ssseg.data.datasets.official import existing_folders, unlabeled_records
from ssseg.data.datasets.pair_names import pair_up
from ssseg.data.findings import fill
from ssseg.data.image_io import MASK_ENDINGS, image_info
from ssseg.data.splits.folds import check_folds, fold_numbers
from ssseg.data.splits.held_out import digests_of, held_out_count, hold_out, uncertainty
from ssseg.data.splits.split_file import read_split, split_document
from ssseg.data.splits.stratify import class_presence
from ssseg.errors import UserError
from ssseg.runs.paths import as_path

NAMELESS = ("images", "image", "imgs", "img")
"""Names of folders that say nothing of the data set; the folder around them does."""

USUAL_SHARE = 0.2
"""Of the labeled images that are held out for validation where nobody says it."""


class Fold(NamedTuple):
    """The one of a cross-validation's folds whose images are held out."""

    fold: int
    folds: int


class Pairs(Files):
    """A folder of images of which some have masks; validation images are held out.

    Args:
        images: The folder of images, searched with its subfolders. Every image with a mask is
            labeled, all others are unlabeled.
        masks: The folder of masks. None: masks lie beside the images.
        val: Share (`0.2`) or count (`6`) of the labeled images that are held out for validation,
            with the share of each class kept.
        test: The same for a test, held out before the validation images. 0: none.
        val_seed: Of these choices, which else depend on the contents of the images alone.
        folds: Of a cross-validation: each labeled image is held out in one of them, whatever `val`.
        fold: The number of the one whose images are held out here, from 1 on. Given `folds` alone,
            `ssseg fit` trains them all.
        split: A `split.json` of an earlier run: its held-out images are these, and labeled images
            that it does not name are learned from.
        mask_name: How masks are named, where the usual names do not do: `{name}_gt.png`.
        classes: A `classes.json`. None: the one in the folder of masks, of images or around both;
            else classes are derived from the values or colours in the masks.
        unlabeled: Further folders of plain images, searched with their subfolders.
        channels: That images are read with. None: those of the first labeled image.

    Raises:
        UserError: For anything missing or unclear, with the file and how to mend it.
    """

    name = "pairs"

    def __init__(
        self,
        images: str,
        masks: str | None = None,
        val: float | str = USUAL_SHARE,
        test: float | str = 0.0,
        val_seed: int = 0,
        folds: int | None = None,
        fold: int | None = None,
        split: str | None = None,
        mask_name: str | None = None,
        classes: str | None = None,
        unlabeled: str | Sequence[str] | None = None,
        channels: int | None = None,
    ) -> None:
        shares = {"val": _typed(val), "test": _typed(test)}
        check_folds(folds, fold, None if shares["val"] == _typed(USUAL_SHARE) else val)
        self.images = existing_folder("data.images", images, "give the folder of images")
        self.masks = None
        if masks is not None:
            self.masks = existing_folder("data.masks", masks, "give the folder of masks")
        self.unlabeled_folders = existing_folders(unlabeled)
        self.name = _name_of(self.images)
        self.root = _around(self.images, self.masks or self.images)
        found = pair_up(self.images, self.masks, mask_name)
        self.lonely = found.lonely
        self._unlabeled = found.unlabeled
        paths = [Path(str(record.mask)) for record in found.labeled]
        self.derived: Derived | None = None
        place = self._class_file(classes, split)
        if place.is_file():
            self.class_file = read_classes(place)
        else:
            self.derived = derive_classes(paths)
            self.class_file = class_list_of(self.derived.content, place)
        self.classes = self.class_file.classes
        self.explains_values = bool(self.class_file.values)
        first = image_info(Path(str(found.labeled[0].image)))
        self.in_channels, self.pixels = channels or first.channels, first.pixels
        self.crop_size = crop_within((first.height, first.width), self.crop_size)
        self.fold = None if folds is None or fold is None else Fold(fold, folds)
        part = {} if self.fold is None else {"val": None, **self.fold._asdict()}
        self.how = {**shares, "val_seed": val_seed, "split": split, **part}
        self._divide(found.labeled, shares["val"], shares["test"], val_seed, split)
        # a step never asks for more labeled images than there are
        self.batch_size = max(1, min(self.batch_size, len(self._records["train"])))

    def _class_file(self, classes: str | None, split: str | None) -> Path:
        """The class list that is given, or the nearest one, or where one would be."""
        for option, given in (("classes", classes), ("split", split)):
            if given is not None:
                path = as_path(given)
                if not path.is_file():
                    raise UserError(f"option data.{option} is {given}, but there is no such file")
                return path
        folders = [self.masks or self.images, self.images, self.root]
        places = [folder / "classes.json" for folder in folders if folder is not None]
        return next((place for place in places if place.is_file()), places[0])

    def _divide(
        self, labeled: list[Record], val: str, test: str, seed: int, split: str | None
    ) -> None:
        digests = digests_of(labeled)
        if split is not None:
            held = read_split(as_path(split), labeled, digests)
        else:
            presence = class_presence(self, labeled)
            held, left = dict[Split, set[int]](), list(range(len(labeled)))
            roles: list[tuple[Split, str]] = [("test", test), ("val", val)]
            for role, wanted in roles:
                there = presence[left], [digests[i] for i in left]
                if role == "val" and self.fold is not None:
                    numbers = fold_numbers(*there, self.fold.folds, seed)
                    chosen = [i for i, n in enumerate(numbers) if n == self.fold.fold]
                else:
                    count = held_out_count(wanted, len(left), f"data.{role}")
                    chosen = hold_out(*there, count, seed)
                held[role] = {left[i] for i in chosen}
                left = [i for i in left if i not in held[role]]
        self._digests = dict(zip(labeled, digests, strict=True))
        self._records: dict[Split, list[Record]] = {
            "train": [r for i, r in enumerate(labeled) if i not in held["val"] | held["test"]],
            "val": [r for i, r in enumerate(labeled) if i in held["val"]],
            "test": [r for i, r in enumerate(labeled) if i in held["test"]],
        }

    @property
    def folders(self) -> list[Path]:
        """What is only read: the doctor writes its copy elsewhere."""
        return [self.images, *([self.masks] if self.masks else []), *self.unlabeled_folders]

    @property
    def meaning(self) -> str | None:
        """With what the values and colours of masks mean."""
        known = super().meaning
        return None if known is None else f"{known} {self.class_file}"

    @property
    def class_list(self) -> str:
        """Where the classes are named, for messages."""
        return str(self.class_file.path)

    def records(self, split: Split) -> list[Record]:
        """Labeled images, in the order of their names: those that are held out, or the others."""
        return self._records[split]

    def unlabeled(self) -> list[Record]:
        """The images without masks, and those of further folders."""
        return [*self._unlabeled, *unlabeled_records(self.unlabeled_folders)]

    def decode(self, values: Array, path: Path) -> Array:
        """Class ids of values and colours, by what the class list says of them."""
        if not self.class_file.colors:
            values = grey_of(values)
        if values.ndim == 2:
            return ids_of_values(values, self.class_file, path)
        return ids_of_colors(values, self.class_file, path)

    def notices(self) -> list[str]:
        """Masks that no image has, and files that are not read."""
        said = left_out([self.images], deep=True)
        if self.lonely:
            text = (
                "{n} mask{s} {are} named like no image and not used ({files}); give image and mask "
                "one name if they belong together"
            )
            said.append(fill(text, [path.name for path in self.lonely]))
        if self.masks is not None and not _holds(self.masks, self.images):
            said += left_out([self.masks], deep=True, what="masks", endings=MASK_ENDINGS)
        return [*said, *super().notices()]

    def choices(self) -> list[str]:
        """How classes and validation images were chosen."""
        said = []
        if self.derived is not None:
            said.append(
                f"{self.derived.sentence}; there is no classes.json: to name the classes, write "
                f"{self.class_file.path} (ssseg doctor proposes one)"
            )
        held = {role: len(self._records[role]) for role in ("val", "test")}
        total = len(self._digests)
        for role, what in (("val", "validation"), ("test", "the test")):
            if held[role]:
                many = f"{held[role]} of {total} labeled images are held out for {what}"
                if role == "val" and self.fold is not None:
                    many = f"fold {self.fold.fold} of {self.fold.folds}: {many}"
                doubt = uncertainty(held[role])
                said.append(
                    f"{many} (which ones: split.json of the run){': ' * bool(doubt)}{doubt}"
                )
        if not held["val"]:
            why = (
                "none is asked for"
                if self.how["val"] == "0"
                else ("none can be spared without losing a class")
            )
            said.append(
                f"none of the {total} labeled images is held out for validation ({why}), so that "
                "there are no scores"
            )
        return said

    def split_document(self) -> dict[str, Any]:
        """Which labeled images are learned from and which are held out, and the classes."""
        return split_document(self._records, self._digests, self.class_file, self._about())

    def _about(self) -> dict[str, Any]:
        masks = None if self.masks is None else str(self.masks)
        return {"images": str(self.images), "masks": masks, **self.how}


def _name_of(folder: Path) -> str:
    folder = folder.resolve()
    named = folder.parent if folder.name.lower() in NAMELESS else folder
    return named.name or folder.name or Pairs.name


def _around(first: Path, second: Path) -> Path | None:
    """The nearest folder that holds both, by which files are called in messages."""
    around = next(f for f in (first.absolute(), *first.absolute().parents) if _holds(f, second))
    return around if around.name else None


def _holds(folder: Path, other: Path) -> bool:
    return other.resolve().is_relative_to(folder.resolve())


def _typed(share: float | str) -> str:
    """A share or count as a person types it: `6` and not `6.0`."""
    return share if isinstance(share, str) else f"{share:g}"
