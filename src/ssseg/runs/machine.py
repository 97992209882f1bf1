"""The memory of this machine, and a check of images against it."""

import os
from functools import cache
from pathlib import Path

from ssseg.errors import UserError


def machine_memory() -> int:
    """Bytes that processes may use: of the machine, or of the container that we are in."""
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    for name in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        limit = Path(name)
        if limit.is_file() and (text := limit.read_text().strip()).isdigit():
            total = min(total, int(text))
    return total


@cache
def most_bytes() -> int:
    """Of the largest image that is decoded: readers hold up to three copies of it."""
    return machine_memory() // 3


def expect_room(path: Path, height: int, width: int, bytes_per_pixel: int) -> None:
    """Refuse an image that this machine cannot hold, before it is decoded."""
    if (needed := height * width * bytes_per_pixel) > most_bytes():
        raise UserError(
            f"{path} is {width} x {height} pixels, which are {needed / 2**30:,.1f} GB when "
            f"decoded, but an image may have {most_bytes() / 2**30:,.1f} GB at most, a third of "
            "this machine's memory; cut it into tiles, or remove it"
        )
