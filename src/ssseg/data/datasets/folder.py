"""A folder of photographs: the data set that people have.

root/
classes.json                 names, and colours if you like
train/images/*  train/masks/*    masks: PNG of class ids, 255 = ignore, named like the images
val/images/*    val/masks/*
test/images/*   test/masks/*     optional
unlabeled/*                  optional, images only; or any other folders, see `unlabeled`
"""

import json
import struct
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import ExifTags, Image, ImageOps

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
        own = self.root / "unlabeled"
        # whoever names it all the same must not get its images twice
        if own.is_dir() and own.resolve() not in [f.resolve() for f in self.unlabeled_folders]:
            self.unlabeled_folders.insert(0, own)
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
        masks = _by_stem(_files(folder / "masks", MASK_ENDINGS))
        for name, image in _by_stem(images).items():
            if name not in masks:
                raise UserError(
                    f"{image} has no mask: expected {folder / 'masks' / name}.png; "
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
        with _opened(first) as image:
            return 1 if image.mode in ("L", "1") else 3

    def read_image(self, record: Record) -> Array:
        """The photograph as it is displayed (EXIF orientation applied), (H, W, C) uint8."""
        with _photograph(record) as image:
            upright = ImageOps.exif_transpose(image)
            pixels = np.asarray(upright.convert("L" if self.in_channels == 1 else "RGB"))
        return pixels[..., None] if pixels.ndim == 2 else pixels

    def read_mask(self, record: Record) -> Array:
        """The class ids, (H, W) uint8."""
        path = Path(str(record.mask))
        with _opened(path) as image:
            if image.mode not in ("L", "P", "I;16", "I", "1"):
                raise UserError(
                    f"mask {path} has colour mode {image.mode}; expected one channel of class ids "
                    f"0 to {len(self.classes) - 1} (and {IGNORE} for ignore)"
                )
            ids = np.asarray(image)
        wrong = np.unique(ids[(ids != IGNORE) & ((ids < 0) | (ids >= len(self.classes)))])
        if wrong.size:
            raise UserError(
                f"mask {path} holds the value {int(wrong[0])}, but classes.json names "
                f"{len(self.classes)} classes (ids 0 to {len(self.classes) - 1}, {IGNORE} = ignore)"
            )
        return ids.astype(np.uint8)

    def check(self, records: list[Record]) -> None:
        """Open every image; read every mask, and compare its size with the image's."""
        for record in records:
            with _photograph(record) as image:
                width, height = _displayed_size(image)
            if record.mask is None:
                continue
            mask = self.read_mask(record)
            if mask.shape != (height, width):
                raise UserError(
                    f"{record.image} is {width} x {height} pixels, but its mask {record.mask} is "
                    f"{mask.shape[1]} x {mask.shape[0]}; they must be the same size"
                )


def find_images(folder: Path, *, deep: bool = False) -> list[Path]:
    """The image files in a folder (and its subfolders), sorted by path; hidden ones left out."""
    return _files(folder, IMAGE_ENDINGS, deep=deep)


def _files(folder: Path, endings: tuple[str, ...], *, deep: bool = False) -> list[Path]:
    """Files with one of these endings.

    Hidden ones are no photographs: file managers and notebooks leave them (`._1.jpg`,
    `.ipynb_checkpoints/1-checkpoint.jpg`).
    """
    paths = folder.rglob("*") if deep else folder.glob("*")
    return sorted(
        path
        for path in paths
        if path.suffix.lower() in endings
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and path.is_file()
    )


def _by_stem(paths: Iterable[Path]) -> dict[str, Path]:
    """Files by their names without ending, which is how images and masks find each other."""
    found: dict[str, Path] = {}
    for path in paths:
        if path.stem in found:
            raise UserError(
                f"{found[path.stem]} and {path.name} differ only in their ending, but expected is "
                "one file per name, so that each image has one mask; rename or remove one"
            )
        found[path.stem] = path
    return found


def read_classes(path: Path) -> list[ClassInfo]:
    """The classes of a `classes.json`.

    Either a list of names, or an object whose `classes` is a list of objects with `name` and,
    where wanted, `color` (three numbers) and `id` (which must then count from 0).
    """
    example = '["background", "road"]'
    try:
        # -sig: editors on Windows begin a file with a byte order mark
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError as error:
        raise UserError(f"there is no {path}; write one with the class names: {example}") from error
    except (OSError, ValueError) as error:
        raise UserError(f"{path} is not valid JSON ({error}); expected {example}") from error
    entries = content.get("classes") if isinstance(content, dict) else content
    if not isinstance(entries, list) or not entries:
        raise UserError(f"{path} names no classes; expected a list such as {example}")
    if len(entries) > IGNORE:
        raise UserError(f"{path} names {len(entries)} classes; expected at most {IGNORE}")
    classes = [_class(path, place, entry, len(entries)) for place, entry in enumerate(entries)]
    names = [info.name for info in classes]
    for place, name in enumerate(names):
        if (first := names.index(name)) != place:
            raise UserError(
                f"classes {first} and {place} in {path} are both named {name!r}; expected a name "
                "of its own for each class, because scores are reported by name"
            )
    return classes


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
    if (
        not isinstance(color, (list, tuple))
        or len(color) != 3
        or not all(isinstance(c, int) and 0 <= c <= 255 for c in color)
    ):
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


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """An image file, decoded when its pixels are asked for; what fails inside is its own fault."""
    try:
        with Image.open(path) as image:
            yield image
    except UserError:
        raise
    # what Pillow's readers raise for files that are broken, cut off or absurdly large
    except (
        OSError,
        SyntaxError,
        ValueError,
        EOFError,
        struct.error,
        Image.DecompressionBombError,
    ) as error:
        what = f"{type(error).__name__}: {error}".replace(f" '{path}'", "")
        raise UserError(
            f"{path} cannot be read as an image ({what}); replace or remove it"
        ) from error


@contextmanager
def _photograph(record: Record) -> Iterator[Image.Image]:
    """The image file of a record, refused where its values do not fit into 8 bits."""
    path = Path(str(record.image))
    with _opened(path) as image:
        if image.mode.startswith(("I", "F")):
            raise UserError(
                f"{path} has values of more than 8 bits (mode {image.mode}); expected 8 bits per "
                "channel, so convert it"
            )
        yield image


def _displayed_size(image: Image.Image) -> tuple[int, int]:
    """Width and height as a viewer shows the image; read from the header alone."""
    width, height = image.size
    turned = image.getexif().get(ExifTags.Base.Orientation, 1) in (5, 6, 7, 8)
    return (height, width) if turned else (width, height)
