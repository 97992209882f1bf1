"""What sources of files have in common: reading, checking, finding."""

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from ssseg.data.cache import DecodedCache
from ssseg.data.datasets.base import Array, Record, Source
from ssseg.data.images import (
    IMAGE_ENDINGS,
    expect_kind,
    gaps_in_file,
    probe,
    read_ids,
    read_image,
)
from ssseg.data.reading import in_threads, kept_of
from ssseg.errors import UserError
from ssseg.paths import as_path
from ssseg.types import IGNORE


class Files(Source):
    """A source whose images, and the masks that go with them, are files."""

    cache: DecodedCache | None = None

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

        def sound() -> bool:
            return all(in_threads(self._is_sound, records))

        kept_of(self, "sound", records, sound)

    def _is_sound(self, record: Record) -> bool:
        path = Path(str(record.image))
        info = probe(path)
        expect_kind(path, info.pixels, self.pixels)
        if record.mask is None:
            return True
        mask = self.read_mask(record)
        if mask.shape != (info.height, info.width):
            raise UserError(
                f"{record.image} is {info.width} x {info.height} pixels, but its mask "
                f"{record.mask} is {mask.shape[1]} x {mask.shape[0]}; they must be the same size"
            )
        return True


def find_images(folder: Path, *, deep: bool = False) -> list[Path]:
    """The image files in a folder (and its subfolders), sorted by path; hidden ones left out."""
    return find_files(folder, IMAGE_ENDINGS, deep=deep)


def find_files(folder: Path, endings: tuple[str, ...], *, deep: bool = False) -> list[Path]:
    """Files with one of these endings, sorted by path.

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


def by_name(
    paths: Iterable[Path], name: Callable[[Path], str] = lambda p: p.stem
) -> dict[str, Path]:
    """Files by their names without ending, which is how images and masks find each other."""
    found: dict[str, Path] = {}
    for path in paths:
        if name(path) in found:
            raise UserError(
                f"{found[name(path)]} and {path.name} differ only in their ending, but expected is "
                "one file per name, so that each image has one mask; rename or remove one"
            )
        found[name(path)] = path
    return found


def existing_folder(option: str, path: str | Path, expected: str) -> Path:
    """The folder that an option names; raises UserError where there is none."""
    folder = as_path(path)
    if not folder.is_dir():
        raise UserError(f"option {option} is {path}, but there is no such folder; {expected}")
    return folder
