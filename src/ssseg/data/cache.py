"""Decoded images and masks on disk, mapped into memory instead of being decoded again."""

import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ssseg.data.datasets.base import Array
from ssseg.errors import UserError


class DecodedCache:
    """A folder of arrays, named after the content of the files that they were decoded from.

    A file that changes gets a new name here, so nothing stale is ever read; files of equal content
    share an array. Any number of processes may read and write: an array is written under a
    temporary name and renamed, so it is there whole or not at all.

    Args:
        folder: Made where it is missing.

    Raises:
        UserError: For a folder that cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._digests: dict[Path, tuple[tuple[int, int], str]] = {}
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise self._unwritable(error) from error

    def get(self, path: Path, kind: str, decode: Callable[[], Array]) -> Array:
        """The decoded file, mapped read-only.

        Args:
            path: Of the file.
            kind: How it is decoded; different kinds do not meet.
            decode: Does it, where that has not been done before.
        """
        try:
            digest = self._digest(path)
        except OSError:
            return decode()  # which knows how to say what is wrong with the file
        name = hashlib.sha256(f"{digest} {kind}".encode()).hexdigest()
        place = self.folder / name[:2] / f"{name}.npy"
        try:
            return _mapped(place)
        except (OSError, ValueError, EOFError):  # not there, or cut off by a full disk
            self._write(place, decode())
            return _mapped(place)

    def _digest(self, path: Path) -> str:
        """Of the content; read again only where the file's size or time has changed."""
        status = path.stat()
        stamp = (status.st_size, status.st_mtime_ns)
        known = self._digests.get(path)
        if known is None or known[0] != stamp:
            with path.open("rb") as file:
                known = stamp, hashlib.file_digest(file, "sha256").hexdigest()
            self._digests[path] = known
        return known[1]

    def _write(self, place: Path, array: Array) -> None:
        try:
            place.parent.mkdir(exist_ok=True)
            handle, temporary = tempfile.mkstemp(dir=place.parent)
            try:
                with os.fdopen(handle, "wb") as file:
                    np.save(file, array)
                Path(temporary).replace(place)
            except BaseException:
                Path(temporary).unlink(missing_ok=True)
                raise
        except OSError as error:
            raise self._unwritable(error) from error

    def _unwritable(self, error: OSError) -> UserError:
        return UserError(
            f"option data.cache: {self.folder} cannot be written ({error.strerror or error}); give "
            "a folder with room, or leave the option out"
        )


def _mapped(place: Path) -> Array:
    mapped = np.load(place, mmap_mode="r")
    return np.asarray(mapped)  # still the file's memory, without memmap's slow bookkeeping
