"""One process per run folder: who else wants it waits, or is told."""

import os
from contextlib import suppress
from pathlib import Path
from typing import IO

from ssseg.errors import UserError

try:
    import fcntl
except ImportError:  # on Windows nobody is kept out
    fcntl = None  # type: ignore[assignment]


class FolderLock:
    """Holds a run folder until it is released or its process ends, however that happens.

    The lock is the operating system's, on a hidden file beside the folder; the file holds the
    number of the process.

    Args:
        folder: It need not exist yet.

    Raises:
        UserError: If another process holds it.
    """

    def __init__(self, folder: Path) -> None:
        self.path = _file(folder)
        self._made = [p for p in self.path.parents if not p.exists()]
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file = _taken(self.path)
        if self._file is None:
            raise UserError(
                f"{folder} is being trained by another process{_whose(self.path)}; wait for it, "
                "end it, or give another folder"
            )
        self._file.write(str(os.getpid()))
        self._file.flush()
        # workers live on for seconds where their run is killed, and would hold the lock with it
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._file.close)

    def release(self) -> None:
        """Let go, and leave no empty folder behind; a second time does nothing."""
        if self._file is not None:
            self.path.unlink(missing_ok=True)
            self._file.close()
            self._file = None
            with suppress(OSError):  # that a run was made in
                for parent in self._made:
                    parent.rmdir()


def is_held(folder: Path) -> bool:
    """Whether some process trains in this folder just now."""
    path = _file(folder)
    if not path.is_file():
        return False
    taken = _taken(path)
    if taken is None:
        return True
    path.unlink(missing_ok=True)
    taken.close()
    return False


def _file(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.lock")


def _taken(path: Path) -> IO[str] | None:
    """The lock file, open and ours; None where it is somebody else's."""
    while True:
        file = path.open("a+", encoding="utf-8")
        if fcntl is not None:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                file.close()
                return None
        # between opening and locking, its last holder may have removed the file
        with suppress(FileNotFoundError):
            if path.stat().st_ino == os.fstat(file.fileno()).st_ino:
                file.truncate(0)
                return file
        file.close()


def _whose(path: Path) -> str:
    with suppress(OSError):
        number = path.read_text(encoding="utf-8").strip()
        return f" (number {number})" if number else ""
    return ""
