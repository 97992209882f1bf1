"""A folder of photographs: the data set that people have.

root/
classes.json                 names, and colours if you like
train/images/*  train/masks/*    masks: PNG of class ids, 255 = ignore, named like the images
val/images/*    val/masks/*
test/images/*   test/masks/*     optional
unlabeled/*                  optional, images only; or any other folders, see `unlabeled`
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from ssseg.data.datasets.base import Array, ClassInfo, Record, Source, Split
from ssseg.errors import UserError
from ssseg.types import IGNORE

IMAGE_ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")
MASK_ENDINGS = (".png", ".bmp", ".tif", ".tiff")


class Folder(Source):
    """Photographs in folders; unlabeled ones need no masks.

    Args:
        root: The folder that holds `classes.json` and `train/`.
        unlabeled: Further folders of plain images, searched with their subfolders. `unlabeled/`
            inside the root is used without being named.

    Raises:
        UserError: For anything missing or unreadable, with the file and how to mend it.
    """

    name = "folder"

    def __init__(self, root: str, unlabeled: str | Sequence[str] | None = None) -> None:
        self.root = Path(root)
        if not self.root.is_dir():
            raise UserError(
                f"option data.root is {root}, but there is no such folder; "
                "give the folder that holds train/, val/ and classes.json"
            )
        self.name = self.root.resolve().name
        self.classes = read_classes(self.root / "classes.json")
        extra = [unlabeled] if isinstance(unlabeled, str) else list(unlabeled or [])
        self.unlabeled_folders = [Path(folder) for folder in extra]
        for folder in self.unlabeled_folders:
            if not folder.is_dir():
                raise UserError(
                    f"option data.unlabeled names {folder}, but there is no such folder"
                )
        if (self.root / "unlabeled").is_dir():
            self.unlabeled_folders.insert(0, self.root / "unlabeled")
        self.in_channels = self._channels()
        self._records: dict[Split, list[Record]] = {}

    def records(self, split: Split) -> list[Record]:
        """Every image of a split with its mask, in the order of their names."""
        if split not in self._records:
            self._records[split] = self._find(split)
        return self._records[split]

    def _find(self, split: Split) -> list[Record]:
        folder = self.root / split
        if not folder.is_dir() and split != "train":
            return []
        images = find_images(folder / "images")
        if not images:
            raise UserError(
                f"there are no images in {folder / 'images'}; "
                f"expected files ending in {', '.join(IMAGE_ENDINGS)}"
            )
        masks = {
            path.stem: path
            for path in sorted((folder / "masks").glob("*"))
            if path.suffix.lower() in MASK_ENDINGS
        }
        for image in images:
            if image.stem not in masks:
                raise UserError(
                    f"{image} has no mask: expected {folder / 'masks' / image.stem}.png; "
                    "add it, or move the image to unlabeled/"
                )
        return [Record(image.stem, image, masks[image.stem]) for image in images]

    def unlabeled(self) -> list[Record]:
        """The images of every unlabeled folder and its subfolders."""
        records = []
        for folder in self.unlabeled_folders:
            found = find_images(folder, deep=True)
            if not found:
                raise UserError(f"there are no images in the unlabeled folder {folder}")
            records += [Record(str(path.relative_to(folder)), path) for path in found]
        return records

    def _channels(self) -> int:
        first = next(iter(find_images(self.root / "train" / "images")), None)
        if first is None:
            raise UserError(
                f"there are no images in {self.root / 'train' / 'images'}; "
                f"expected files ending in {', '.join(IMAGE_ENDINGS)}"
            )
        return 1 if _open(first).mode in ("L", "1") else 3

    def read_image(self, record: Record) -> Array:
        """The photograph as it is displayed (EXIF orientation applied), (H, W, C) uint8."""
        path = Path(str(record.image))
        image = _open(path)
        try:
            upright = ImageOps.exif_transpose(image)
            pixels = np.asarray(upright.convert("L" if self.in_channels == 1 else "RGB"))
        except (OSError, SyntaxError, ValueError) as error:
            raise UserError(
                f"{path} cannot be read as an image ({error}); replace or remove it"
            ) from error
        return pixels[..., None] if pixels.ndim == 2 else pixels

    def read_mask(self, record: Record) -> Array:
        """The class ids, (H, W) uint8."""
        path = Path(str(record.mask))
        image = _open(path)
        if image.mode not in ("L", "P", "I;16", "I", "1"):
            raise UserError(
                f"mask {path} has colour mode {image.mode}; expected one channel of class ids "
                f"0 to {len(self.classes) - 1} (and {IGNORE} for ignore)"
            )
        try:
            ids = np.asarray(image)
        except (OSError, SyntaxError, ValueError) as error:
            raise UserError(f"mask {path} cannot be read ({error}); replace it") from error
        wrong = np.unique(ids[(ids != IGNORE) & (ids >= len(self.classes))])
        if wrong.size:
            raise UserError(
                f"mask {path} holds the value {int(wrong[0])}, but classes.json names "
                f"{len(self.classes)} classes (ids 0 to {len(self.classes) - 1}, {IGNORE} = ignore)"
            )
        return ids.astype(np.uint8)

    def check(self, records: list[Record]) -> None:
        """Open every mask, and compare its size with the image's."""
        for record in records:
            mask = self.read_mask(record)
            width, height = _displayed_size(_open(Path(str(record.image))))
            if mask.shape != (height, width):
                raise UserError(
                    f"{record.image} is {width} x {height} pixels, but its mask {record.mask} is "
                    f"{mask.shape[1]} x {mask.shape[0]}; they must be the same size"
                )


def find_images(folder: Path, *, deep: bool = False) -> list[Path]:
    """The image files in a folder (and its subfolders), sorted by path."""
    paths = folder.rglob("*") if deep else folder.glob("*")
    return sorted(p for p in paths if p.suffix.lower() in IMAGE_ENDINGS and p.is_file())


def read_classes(path: Path) -> list[ClassInfo]:
    """The classes of a `classes.json`.

    Either a list of names, or an object whose `classes` is a list of objects with `name` and,
    where wanted, `color` (three numbers) and `id` (which must then count from 0).
    """
    example = '["background", "road"]'
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"there is no {path}; write one with the class names: {example}") from error
    except (OSError, ValueError) as error:
        raise UserError(f"{path} is not valid JSON ({error}); expected {example}") from error
    entries = content.get("classes") if isinstance(content, dict) else content
    if not isinstance(entries, list) or not entries:
        raise UserError(f"{path} names no classes; expected a list such as {example}")
    if len(entries) > IGNORE:
        raise UserError(f"{path} names {len(entries)} classes; expected at most {IGNORE}")
    return [_class(path, place, entry, len(entries)) for place, entry in enumerate(entries)]


def _class(path: Path, place: int, entry: Any, count: int) -> ClassInfo:
    if isinstance(entry, str):
        entry = {"name": entry}
    if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
        raise UserError(f"class {place} in {path} has no name: {entry!r}")
    if entry.get("id", place) != place:
        raise UserError(
            f"class {entry['name']!r} in {path} has id {entry['id']}, expected {place}: "
            "ids count from 0 in the order of the list"
        )
    color = entry.get("color", default_color(place, count))
    if len(color) != 3 or not all(isinstance(c, int) and 0 <= c <= 255 for c in color):
        raise UserError(
            f"class {entry['name']!r} in {path} has color {color!r}; expected three numbers 0..255"
        )
    return ClassInfo(entry["name"], (color[0], color[1], color[2]))


def default_color(place: int, count: int) -> tuple[int, int, int]:
    """A colour for a class that names none: evenly spread hues."""
    import colorsys

    lightness = (0.45, 0.65, 0.3)[place % 3]
    red, green, blue = colorsys.hls_to_rgb(place / max(1, count), lightness, 0.7)
    return round(red * 255), round(green * 255), round(blue * 255)


def _open(path: Path) -> Image.Image:
    """An image file, opened but not yet decoded."""
    try:
        return Image.open(path)
    except (UnidentifiedImageError, OSError) as error:
        raise UserError(
            f"{path} cannot be read as an image ({type(error).__name__}); replace or remove it"
        ) from error


def _displayed_size(image: Image.Image) -> tuple[int, int]:
    """Width and height as a viewer shows the image; read from the header alone."""
    width, height = image.size
    turned = image.getexif().get(ExifTags.Base.Orientation, 1) in (5, 6, 7, 8)
    return (height, width) if turned else (width, height)
