"""Reads files in threads, and keeps results of reading for later runs."""

import hashlib
import json
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TypeVar

from filelock import FileLock

from ssseg.data.datasets.base import Record, Source
from ssseg.runs.atomic_write import atomic_write
from ssseg.runs.cpus import allowed_cpus
from ssseg.runs.lock import let_go
from ssseg.runs.paths import as_path

Item = TypeVar("Item")
Found = TypeVar("Found")


def in_threads(function: Callable[[Item], Found], items: Iterable[Item]) -> Iterator[Found]:
    """`map` with a few threads (decoders release Python's lock).

    Results are in the order of the items, so that the first error is always the same. Only a few
    items are processed ahead, which limits the memory.
    """
    workers = min(8, allowed_cpus())
    waiting = deque[Future[Found]]()
    with ThreadPoolExecutor(workers) as pool:
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) > workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def kept_of(
    source: Source, question: str, records: Sequence[Record], find: Callable[[], Found]
) -> Found:
    """`kept` for a question about records; without keeping if `source.meaning` is None."""
    places = [p for record in records for p in (record.image, record.mask) if p is not None]
    files = [place for place in places if isinstance(place, Path)]
    if source.meaning is None or len(files) < len(places):
        return find()
    ids = json.dumps([record.id for record in records])
    return kept(f"{question} {source.meaning} {ids}", files, find)


def kept(question: str, files: Sequence[Path], find: Callable[[], Found]) -> Found:
    """The result of `find`, or the result of an earlier process if the files are unchanged.

    Files are unchanged if path, size, time of modification and the code of `ssseg.data` are the
    same. One process computes the result while others with the same question wait. Without a usable
    cache folder the result is computed every time.

    Args:
        question: A text with everything besides the files that the result depends on.
        files: The files that `find` reads.
        find: Computes the result, which must be valid JSON.
    """
    try:
        place = cache_folder() / f"{_name(question, files)}.json"
        place.parent.mkdir(parents=True, exist_ok=True)
        guard = place.with_suffix(".lock")
        lock = FileLock(guard, thread_local=False)
        with suppress(NotImplementedError):  # some network file systems have no locks
            lock.acquire()
    except OSError:  # a missing file is for `find` to report
        return find()
    try:
        with suppress(OSError, ValueError):  # not computed yet
            answer: Found = json.loads(place.read_text(encoding="utf-8"))
            return answer
        found = find()
        with suppress(OSError), atomic_write(place) as draft:
            draft.write_text(json.dumps(found), encoding="utf-8")
        return found
    finally:
        let_go(lock, guard)


def cache_folder() -> Path:
    """The folder `$SSSEG_CACHE`, or `ssseg` in the user's cache folder."""
    if own := os.environ.get("SSSEG_CACHE"):
        return as_path(own)
    return as_path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "ssseg"


def _name(question: str, files: Sequence[Path]) -> str:
    digest = hashlib.sha256(question.encode())
    digest.update(_code())
    for path in files:
        status = path.stat()
        stamp = [str(path.absolute()), status.st_size, status.st_mtime_ns]
        digest.update(json.dumps(stamp).encode())
    return digest.hexdigest()


@cache
def _code() -> bytes:
    """Hash of the code of `ssseg.data`, so that kept results are not used after a change of it."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.digest()


def evenly_spaced(records: Sequence[Record], count: int) -> list[Record]:
    """At most `count` records, evenly spaced."""
    count = min(count, len(records))
    return [records[place * len(records) // count] for place in range(count)]
