"""What sources of files have in common: reading, checking, finding."""

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
    probe,
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
"""Endings of what lies beside pictures and is none: notes, lists, annotations, world files."""


class Files(Source):
    """A source whose images, and the masks that go with them, are files."""

    cache: DecodedCache | None = None
    _counted: dict[Record, list[tuple[int, int]]] | None = None
    unlabeled_folders: Sequence[Path] = ()
    """Further folders of images without masks."""

    def notices(self) -> list[str]:
        """What is left out of the folders of unlabeled images."""
        return left_out(self.unlabeled_folders, deep=True)

    @property
    def meaning(self) -> str | None:
        """What decides what is read from the files; unknown for readers that are not ours."""
        cls = type(self)
        if not cls.__module__.startswith("ssseg."):
            return None
        return f"{cls.__qualname__} {list(self.classes)} {self.in_channels} {self.pixels}"

    def use_cache(self, folder: Path) -> None:
        """Keep decoded images and masks in a folder."""
        self.cache = DecodedCache(folder)

    def read_image(self, record: Record) -> Array:
        """The photograph as it is displayed (EXIF orientation applied), (H, W, C)."""
        path = Path(str(record.image))
        kind = f"image {self.in_channels} {self.pixels}"
        return self._decoded(path, kind, lambda: read_image(path, self.in_channels, self.pixels))

    def gaps(self, record: Record, image: Array) -> Array | None:
        """Where an image has no data: by NaN, or of 8 bits by what its file declares."""
        if image.dtype != np.uint8:
            return super().gaps(record, image)
        return gaps_in_file(Path(str(record.image)), image)

    def size_of(self, record: Record) -> tuple[int, int]:
        """Height and width of the photograph as it is displayed, from its header."""
        info = probe(Path(str(record.image)))
        return info.height, info.width

    def _decoded(self, path: Path, kind: str, decode: Callable[[], Array]) -> Array:
        return decode() if self.cache is None else self.cache.get(path, kind, decode)

    def read_mask(self, record: Record) -> Array:
        """The class ids, (H, W) uint8; 255 = ignore.

        Raises:
            UserError: For a mask that cannot be read, or holds something that is no class.
        """
        path = Path(str(record.mask))
        # values and not ids are kept: what they mean is the class list's to say, which may change
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
        """What the file of a mask holds, before `decode`: (H, W) integers or (H, W, 3) colours."""
        return read_ids(Path(str(record.mask)))

    @property
    def class_list(self) -> str:
        """Where the classes are named, for messages."""
        return f"data set {self.name}"

    def decode(self, values: Array, path: Path) -> Array:
        """Class ids (H, W) from what a mask file holds; raises UserError for what is no mask.

        Args:
            values: (H, W) integers, or (H, W, 3) uint8 colours.
            path: Where they come from, for messages.
        """
        if values.ndim == 3:
            raise UserError(
                f"mask {path} is in colour; expected one channel of class ids "
                f"0 to {self.num_classes - 1} (and {IGNORE} for ignore)"
            )
        return values

    def check(self, records: list[Record]) -> None:
        """Open every image; read every mask, and compare its size with the image's."""
        found = kept_of(self, "pixels", records, lambda: list(in_threads(self._sound, records)))
        known = ((r, [(i, n) for i, n in few]) for r, few in zip(records, found, strict=True))
        self._counted = {**(self._counted or {}), **dict(known)}

    def pixels_of(self, record: Record) -> list[tuple[int, int]]:
        """The ids in a mask, each with its pixels; of a mask that was checked, without a look."""
        known = (self._counted or {}).get(record)
        return super().pixels_of(record) if known is None else known

    def _sound(self, record: Record) -> list[tuple[int, int]]:
        """The ids in the mask, each with its pixels; nothing where there is no mask."""
        path = Path(str(record.image))
        info = probe(path)
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
    """The image files in a folder (and its subfolders), sorted by path; hidden ones left out."""
    return find_files(folder, IMAGE_ENDINGS, deep=deep)


def find_files(folder: Path, endings: tuple[str, ...], *, deep: bool = False) -> list[Path]:
    """Files with one of these endings, sorted by path.

    Links are followed, those that lead nowhere are left out. Each folder is looked into once,
    however many links lead to it.
    """
    return [
        path
        for path in files_of(folder, deep=deep)
        if path.suffix.lower() in endings and path.is_file()
    ]


def files_of(folder: Path, *, deep: bool = False) -> list[Path]:
    """All files in a folder (and its subfolders) that are not hidden, sorted by path.

    Hidden ones are no photographs: file managers and notebooks leave them (`._1.jpg`,
    `.ipynb_checkpoints/1-checkpoint.jpg`).
    """
    return sorted(
        here / name
        for here, names in _folders(folder, deep)
        for name in names
        if not name.startswith(".")
    )


def left_out(folders: Iterable[Path], *, deep: bool = False) -> list[str]:
    """A remark on each folder with files that `find_images` leaves out, unless they are texts."""
    notices = []
    for folder in folders:
        missed = _missed(folder, deep)
        if not missed:
            continue
        notices.append(
            f"{folder}: {'1 file is' if len(missed) == 1 else f'{len(missed)} files are'} left out "
            f"({_kinds(missed)}; e.g. {missed[0].name}); images are read from "
            f"{', '.join(ending.lstrip('.') for ending in IMAGE_ENDINGS)}: convert the others, "
            "mend links or remove them"
        )
    return notices


def found_instead(folder: Path, *, deep: bool = False) -> str:
    """What a folder without images holds, for messages: ` (it holds 12 .heic)`."""
    missed = _missed(folder, deep)
    return f" (it holds {_kinds(missed)}, which are not read)" if missed else ""


def name_of(path: Path) -> str:
    """The name of a file without ending, by which images, masks and lists find each other.

    Accents are written as one letter or as two, depending on where a file comes from: here as one.
    """
    return composed(path.stem)


def by_name(paths: Iterable[Path], name: Callable[[Path], str] = name_of) -> dict[str, Path]:
    """Files by their names without ending, which is how images and masks find each other."""
    found: dict[str, Path] = {}
    for path in paths:
        if name(path) in found:
            raise UserError(
                f"{found[name(path)]} and {path.name} differ only in their ending or in how "
                "accents are written, but expected is one file per name, so that each image has "
                "one mask; rename or remove one"
            )
        found[name(path)] = path
    return found


def beside(folder: Path, name: str, endings: Sequence[str]) -> str:
    """What has a name in a folder but cannot be read, for messages: `, but found NAME.gif`."""
    for path in files_of(folder):
        if name_of(path) == name:
            if path.suffix.lower() in endings:
                return f", but {path.name} is a link that leads nowhere"
            return f", but found {path.name}, which is not read as a mask: save it as PNG"
    return ""


def _folders(folder: Path, deep: bool) -> Iterator[tuple[Path, list[str]]]:
    """Every folder below one, once, and the names of its files; what links lead to comes last."""
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
    # some file systems number no folders
    return (status.st_dev, status.st_ino) if status.st_ino else os.path.realpath(folder)


def _missed(folder: Path, deep: bool) -> list[Path]:
    read = (*IMAGE_ENDINGS, *TEXTS)
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
    """The folder that an option names; raises UserError where there is none."""
    folder = as_path(path)
    if not folder.is_dir():
        raise UserError(f"option {option} is {path}, but there is no such folder; {expected}")
    return folder
