"""Every file once, on a few threads, with a bar on the terminal."""

import os
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ssseg.doctor.findings import ROLES
from ssseg.doctor.look import Seen, look
from ssseg.doctor.sets import Sets


def read_all(sets: Sets, bar: bool) -> list[Seen]:
    """Look at every record, set by set.

    Threads do: the decoders let go of Python's lock.

    Args:
        sets: What to look at.
        bar: Show progress on stderr, where that is a terminal.
    """
    jobs = [(role, record) for role in ROLES for record in sets.records[role]]
    columns = (
        TextColumn("reading"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    hidden = not (bar and sys.stderr.isatty())
    progress = Progress(*columns, console=Console(stderr=True), transient=True, disable=hidden)
    pool = ThreadPoolExecutor(min(4, os.cpu_count() or 1))
    with progress, warnings.catch_warnings():
        # what decoders think of odd files; whether they can be decoded is what counts
        warnings.simplefilter("ignore")
        try:
            found = pool.map(lambda job: look(sets.source, *job), jobs)
            return list(progress.track(found, total=len(jobs)))
        finally:
            pool.shutdown(cancel_futures=True)
