"""The base class of data sets of files, and functions that find files."""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from ssseg.data.cache import DecodedCache
from ssseg.data.datasets.base import Array, Record, Source, pixels_in
from ssseg.data.image_io import (
    IMAGE_ENDINGS,
    expect_kind,
    gaps_in_file,
    image_info,
    read_ids,
    read_image,
)
from ssseg.data.reading import in_threads, kept_of
from ssseg.errors import UserError
from ssseg.runs.paths import as_path, composed
from ssseg.types import IGNORE

TEXTS = (
    *(".txt", ".json", ".xml", ".csv", ".md", ".yaml", ".yml", ".html", ".pdf", ".log"),
    *(".ini", ".db", ".tfw", ".jgw", ".pgw", ".wld", ".prj"),
)
"""Suffixes of files that are often beside images: notes, lists, annotations, world files."""


class Files(Source):
    """A data set whose images and masks are files."""

    cache: DecodedCache | None = None
    _counted: dict[Record, list[tuple[int, int]]] | None = None
    unlabeled_folders: Sequence[Path] = ()
    """Further folders of images without masks."""

    def notices(self) -> list[str]:
        """Messages about files in the folders of unlabeled images that are not read."""
        return left_out(self.unlabeled_folders, deep=True)

    @property
    def meaning(self) -> str | None:
        """The settings that affect the values that are read; None for classes outside ssseg."""
        cls = type(self)
        if not cls.__module__.startswith("ssseg."):
            return None
        return f"{cls.__qualname__} {list(self.classes)} {self.in_channels} {self.pixels}"

    def use_cache(self, folder: Path) -> None:
        """Cache decoded images and masks in a folder."""
        self.cache = DecodedCache(folder)

    def read_image(self, record: Record) -> Array:
        """The photograph as it is displayed (EXIF orientation applied), (H, W, C)."""
        path = Path(str(record.image))
        kind = f"image {self.in_channels} {self.pixels}"
        return self._decoded(path, kind, lambda: read_image(path, self.in_channels, self.pixels))

    def gaps(self, record: Record, image: Array) -> Array | None:
        """Pixels without data: NaN, or the "no data" value that an 8-bit file declares."""
        if image.dtype != np.uint8:
            return super().gaps(record, image)
        return gaps_in_file(Path(str(record.image)), image)

    def size_of(self, record: Record) -> tuple[int, int]:
        """Height and width of the photograph as it is displayed, from its header."""
        info = image_info(Path(str(record.image)))
        return info.height, info.width

    def _decoded(self, path: Path, kind: str, decode: Callable[[], Array]) -> Array:
        return decode() if self.cache is None else self.cache.get(path, kind, decode)

    def read_mask(self, record: Record) -> Array:
        """The class ids, (H, W) uint8; 255 = ignore.

        Raises:
            UserError: For a mask that cannot be read, or has a value that is no class id.
        """
        path = Path(str(record.mask))
        # the cache keeps values, not ids, because the class list may change
        kind = f"values {record.id} of {type(self).__qualname__}"
        ids = self.decode(self._decoded(path, kind, lambda: self.read_values(record)), path)
        strange = np.unique(ids[(ids != IGNORE) & ((ids < 0) | (ids >= self.num_classes))])
        if strange.size:
            raise UserError(
                f"mask {path} holds the value {int(strange[0])}, but {self.class_list} names "
                f"{self.num_classes} classes (ids 0 to {self.num_classes - 1}, {IGNORE} = ignore)"
            )
        return ids.astype(np.uint8)

    def read_values(self, record: Record) -> Array:
        """The values of a mask file, before `decode`: (H, W) integers or (H, W, 3) colours."""
        return read_ids(Path(str(record.mask)))

    @property
    def class_list(self) -> str:
        """The place where the classes are listed, for messages."""
        return f"data set {self.name}"

    def decode(self, values: Array, path: Path) -> Array:
        """Class ids (H, W) from the values of a mask file.

        Args:
            values: (H, W) integers, or (H, W, 3) uint8 colours.
            path: The mask, for messages.

        Raises:
            UserError: For values that are not a mask of this data set.
        """
        if values.ndim == 3:
            raise UserError(
                f"mask {path} is in colour; expected one channel of class ids "
                f"0 to {self.num_classes - 1} (and {IGNORE} for ignore)"
            )
        return values

    def check(self, records: list[Record]) -> None:
        """Open every image, read every mask, and compare the size of both."""
        found = kept_of(self, "pixels", records, lambda: list(in_threads(self._sound, records)))
        known = ((r, [(i, n) for i, n in few]) for r, few in zip(records, found, strict=True))
        self._counted = {**(self._counted or {}), **dict(known)}

    def pixels_of(self, record: Record) -> list[tuple[int, int]]:
        """The ids in a mask with their number of pixels; read from the file only if unchecked."""
        known = (self._counted or {}).get(record)
        return super().pixels_of(record) if known is None else known

    def _sound(self, record: Record) -> list[tuple[int, int]]:
        """Check a record; returns the ids in its mask with their number of pixels."""
        path = Path(str(record.image))
        info = image_info(path)
        expect_kind(path, info.pixels, self.pixels)
        if record.mask is None:
            return []
        mask = self.read_mask(record)
        if mask.shape != (info.height, info.width):
            raise UserError(
                f"{record.image} is {info.width} x {info.height} pixels, but its mask "
                f"{record.mask} is {mask.shape[1]} x {mask.shape[0]}; they must be the same size"
            )
        return pixels_in(mask)


def find_images(folder: Path, *, deep: bool = False) -> list[Path]:
    """The image files in a folder (`deep`: and its subfolders), sorted, without hidden files."""
    return find_files(folder, IMAGE_ENDINGS, deep=deep)


def find_files(folder: Path, endings: tuple[str, ...], *, deep: bool = False) -> list[Path]:
    """Files with one of these suffixes, sorted by path.

    Links are followed and broken links are skipped. A folder that several links point to is read
    once.
    """
    return [
        path
        for path in files_of(folder, deep=deep)
        if path.suffix.lower() in endings and path.is_file()
    ]


def files_of(folder: Path, *, deep: bool = False) -> list[Path]:
    """All files in a folder (`deep`: and its subfolders), sorted by path, without hidden files.

    Hidden files are copies made by file managers and notebooks (`._1.jpg`,
    `.ipynb_checkpoints/1-checkpoint.jpg`).
    """
    return sorted(
        here / name
        for here, names in _folders(folder, deep)
        for name in names
        if not name.startswith(".")
    )


def left_out(
    folders: Iterable[Path],
    *,
    deep: bool = False,
    what: str = "images",
    endings: Sequence[str] = IMAGE_ENDINGS,
) -> list[str]:
    """A message for each folder with files that are neither read nor texts (`TEXTS`).

    Args:
        folders: That are looked into.
        deep: Whether subfolders are, too.
        what: Is read from them.
        endings: Of the files that are read.
    """
    notices = []
    for folder in folders:
        missed = _missed(folder, deep, endings)
        if not missed:
            continue
        notices.append(
            f"{folder}: {'1 file is' if len(missed) == 1 else f'{len(missed)} files are'} left out "
            f"({_kinds(missed)}; e.g. {missed[0].name}); {what} are read from "
            f"{', '.join(ending.lstrip('.') for ending in endings)}: convert the others, "
            "repair links or remove them"
        )
    return notices


def found_instead(folder: Path, *, deep: bool = False) -> str:
    """The files of a folder without images, for messages: ` (it holds 12 .heic, ...)`."""
    missed = _missed(folder, deep)
    return f" (it holds {_kinds(missed)}, which are not read)" if missed else ""


def name_of(path: Path) -> str:
    """The name of a file without suffix, by which images, masks and lists are matched.

    Some systems store a letter with an accent as two characters; here it is always one.
    """
    return composed(path.stem)


def by_name(paths: Iterable[Path], name: Callable[[Path], str] = name_of) -> dict[str, Path]:
    """Files by name without suffix; raises UserError if two files have the same name."""
    found: dict[str, Path] = {}
    for path in paths:
        if name(path) in found:
            raise UserError(
                f"{found[name(path)]} and {path.name} differ only in the suffix or in the encoding "
                "of accents; expected one file per name, so that each image has one mask; rename "
                "or remove one"
            )
        found[name(path)] = path
    return found


def beside(folder: Path, name: str, endings: Sequence[str]) -> str:
    """A file with this name that cannot be read, for messages: `, but found NAME.gif, ...`."""
    for path in files_of(folder):
        if name_of(path) == name:
            if path.suffix.lower() in endings:
                return f", but {path.name} is a broken link"
            return f", but found {path.name}, whose format is not supported: save it as PNG"
    return ""


def _folders(folder: Path, deep: bool) -> Iterator[tuple[Path, list[str]]]:
    """A folder and, with `deep`, its subfolders, each once, with file names; links come last."""
    seen, tops = set[tuple[int, int] | str](), [folder]
    while tops:
        links = list[Path]()
        for top in tops:
            for place, folders, files in os.walk(top):
                here = Path(place)
                if (key := _identity(here)) in seen:
                    folders.clear()
                    continue
                seen.add(key)
                yield here, files
                visible = sorted(name for name in folders if not name.startswith(".")) * deep
                links += [here / name for name in visible if (here / name).is_symlink()]
                folders[:] = visible
        tops = links


def _identity(folder: Path) -> tuple[int, int] | str:
    status = folder.stat()
    # some file systems have no inode numbers
    return (status.st_dev, status.st_ino) if status.st_ino else os.path.realpath(folder)


def _missed(folder: Path, deep: bool, endings: Sequence[str] = IMAGE_ENDINGS) -> list[Path]:
    read = (*endings, *TEXTS)
    found = files_of(folder, deep=deep)
    return [path for path in found if path.suffix.lower() not in read or not path.is_file()]


def _kinds(paths: Iterable[Path]) -> str:
    """`3 .heic and 1 broken link`."""
    kinds = Counter(
        path.suffix.lower() or "without ending" if path.exists() else "broken link"
        for path in paths
    )
    return ", ".join(
        f"{number} {kind}{'s' * (kind == 'broken link' and number > 1)}"
        for kind, number in kinds.most_common()
    )


def existing_folder(option: str, path: str | Path, expected: str) -> Path:
    """The folder that an option gives; raises UserError if it does not exist."""
    folder = as_path(path)
    if not folder.is_dir():
        raise UserError(f"option {option} is {path}, but there is no such folder; {expected}")
    return folder
