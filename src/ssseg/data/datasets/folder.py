"""A data set of your own images in a folder.

root/
classes.json                 names, and optionally colours
train/images/*  train/masks/*    masks: class ids (255 = ignore) or colours, named like the images
val/images/*    val/masks/*
test/images/*   test/masks/*     optional
unlabeled/*                  optional, images only; or any other folders, see `unlabeled`
"""

from collections.abc import Sequence
from pathlib import Path

from ssseg.data.datasets.base import Array, Record, Split, crop_within
from ssseg.data.datasets.class_list import (
    ClassList,
    ids_of_colors,
    ids_of_values,
    read_classes,
)
from ssseg.data.datasets.files import (
    Files,
    beside,
    by_name,
    existing_folder,
    find_files,
    find_images,
    found_instead,
    left_out,
)
from ssseg.data.datasets.official import existing_folders, unlabeled_records
from ssseg.data.image_io import IMAGE_ENDINGS, MASK_ENDINGS, ImageInfo, image_info
from ssseg.errors import UserError


class Folder(Files):
    """Images and masks in folders; unlabeled images need no masks.

    The first training image determines the number of channels of all images and the kind of their
    values (8 bits, 16 bits or float).

    Args:
        root: The folder with `classes.json` and `train/`.
        unlabeled: Further folders of images without masks, searched with their subfolders.
            `unlabeled/` inside the root is always used.
        channels: Number of channels with which images are read; 4 keeps the transparency of PNG
            files as a channel. None: as in the first training image.

    Raises:
        UserError: For a missing or unreadable file, with its path and how to fix it.
    """

    name = "folder"

    def __init__(
        self,
        root: str,
        unlabeled: str | Sequence[str] | None = None,
        channels: int | None = None,
    ) -> None:
        self.root = existing_folder(
            "data.root", root, "give the folder that holds train/, val/ and classes.json"
        )
        self.name = self.root.resolve().name
        self.class_file = self._read_classes()
        self.classes = self.class_file.classes
        self.explains_values = bool(self.class_file.values)
        self.unlabeled_folders = existing_folders(unlabeled)
        own = self.root / "unlabeled"
        # if option data.unlabeled names it too, its images must not be used twice
        if own.is_dir() and own.resolve() not in [f.resolve() for f in self.unlabeled_folders]:
            self.unlabeled_folders.insert(0, own)
        first = self._first()
        self.in_channels, self.pixels = channels or first.channels, first.pixels
        self.crop_size = crop_within((first.height, first.width), self.crop_size)
        self._records: dict[Split, list[Record]] = {}

    @property
    def meaning(self) -> str | None:
        """As in `Files`, with the content of `classes.json`."""
        known = super().meaning
        return None if known is None else f"{known} {self.class_file}"

    def _read_classes(self) -> ClassList:
        return read_classes(self.root / "classes.json")

    def _first(self) -> ImageInfo:
        """Properties of the first training image, which all images must have."""
        return image_info(self._images("train")[0])

    @property
    def class_list(self) -> str:
        """The place where the classes are listed, for messages."""
        return "classes.json"

    def records(self, split: Split) -> list[Record]:
        """Every image of a split with its mask, in the order of their names."""
        if split not in self._records:
            self._records[split] = self._find(split)
        return self._records[split]

    def _find(self, split: Split) -> list[Record]:
        folder = self.root / split
        if not folder.is_dir() and split != "train":
            return []
        images = by_name(self._images(split))
        masks = by_name(find_files(folder / "masks", MASK_ENDINGS))
        missing = [name for name in images if name not in masks]
        if missing:
            instead = beside(folder / "masks", missing[0], MASK_ENDINGS)
            more = f" ({len(missing)} images of {split} have none)" if len(missing) > 1 else ""
            raise UserError(
                f"{images[missing[0]]} has no mask: expected {folder / 'masks' / missing[0]}.png"
                f"{instead}; add it, or move the image to unlabeled/{more}"
            )
        return [Record(name, image, masks[name]) for name, image in images.items()]

    def _images(self, split: Split) -> list[Path]:
        folder = self.root / split / "images"
        images = find_images(folder)
        if not images:
            raise UserError(
                f"there are no images in {folder}{found_instead(folder)}; expected files ending in "
                f"{', '.join(IMAGE_ENDINGS)}"
            )
        return images

    def notices(self) -> list[str]:
        """Messages about files in the folders of images that are not read."""
        own = [self.root / split / "images" for split in ("train", "val", "test")]
        return [*left_out(folder for folder in own if folder.is_dir()), *super().notices()]

    def unlabeled(self) -> list[Record]:
        """The images of every unlabeled folder and its subfolders."""
        return unlabeled_records(self.unlabeled_folders)

    def decode(self, values: Array, path: Path) -> Array:
        """Class ids of values or colours, as `classes.json` maps them."""
        if values.ndim == 2:
            return ids_of_values(values, self.class_file, path)
        return ids_of_colors(values, self.class_file, path)
