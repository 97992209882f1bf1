"""A cache of decoded images and masks on disk, which are mapped into memory."""

import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ssseg.data.datasets.base import Array
from ssseg.errors import UserError


class DecodedCache:
    """A folder of arrays, each named by a hash of the content of the file it was decoded from.

    A changed file has another name in the cache, so no outdated array is read; files with equal
    content share an array. Several processes may read and write at the same time, because an array
    is written under a temporary name and then renamed.

    Args:
        folder: The folder; created if it does not exist.

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
            path: Path of the file.
            kind: How it is decoded; each kind has its own array.
            decode: Decodes the file; called only if the array is not in the cache.
        """
        try:
            digest = self._digest(path)
        except OSError:
            return decode()  # raises a message about the file
        name = hashlib.sha256(f"{digest} {kind}".encode()).hexdigest()
        place = self.folder / name[:2] / f"{name}.npy"
        try:
            return _mapped(place)
        except (OSError, ValueError, EOFError):  # missing, or incomplete after a full disk
            self._write(place, decode())
            return _mapped(place)

    def _digest(self, path: Path) -> str:
        """Hash of the content; computed again only if size or time of the file have changed."""
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
    return np.asarray(mapped)  # the same memory, without the overhead of np.memmap
