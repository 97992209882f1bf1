"""The CPUs that this process may use, how busy they are, and how many threads compute on them.

This module does not import torch, because threads must be told how to wait before torch starts.
"""

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

MOST = "SSSEG_THREADS"
"""Environment variable: the most threads of a run that a benchmark starts."""
PERSON = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
"""Environment variables with which a person chooses the number of threads."""
WAITING = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
"""Environment variables with which a person chooses how threads wait."""
BUSY = 0.25
"""Others use the machine if they use more than this share of it."""


def allowed_cpus(root: Path = Path("/")) -> int:
    """CPUs that this process may use: of the machine, its affinity, and its container's quota.

    Args:
        root: The file system with `proc` and `sys`.
    """
    count = len(_affinity())
    return max(1, min([count, *(int(quota) for quota in _quotas(root))]))


def _affinity() -> set[int]:
    if hasattr(os, "sched_getaffinity"):
        return os.sched_getaffinity(0)
    return set(range(os.cpu_count() or 1))


def _quotas(root: Path) -> Iterator[float]:
    """CPUs that each control group of this process allows, of both versions."""
    groups = [("", "/"), ("cpu", "/")]  # inside of a container, its own group is the root
    with suppress(OSError):
        for line in (root / "proc/self/cgroup").read_text().splitlines():
            _, names, path = line.split(":", 2)
            if names == "" or "cpu" in names.split(","):
                groups.append((names, path))
    for names, path in groups:
        for group in (Path(path), *Path(path).parents):
            place = root / "sys/fs/cgroup" / names / str(group).lstrip("/")
            with suppress(OSError, ValueError, ZeroDivisionError):
                if names == "":
                    quota, period = (place / "cpu.max").read_text().split()
                else:
                    quota = (place / "cpu.cfs_quota_us").read_text()
                    period = (place / "cpu.cfs_period_us").read_text()
                if quota != "max" and float(quota) > 0:  # -1 where there is none
                    yield float(quota) / float(period)


class Reading(NamedTuple):
    """How long CPUs have been idle, and this process busy, in seconds."""

    idle: float
    own: float
    time: float


def read_load(root: Path = Path("/")) -> Reading | None:
    """A reading of the CPUs that this process may use; None on other systems than Linux."""
    names = {f"cpu{number}" for number in _affinity()}
    with suppress(OSError, ValueError, AttributeError):
        lines = [line.split() for line in (root / "proc/stat").read_text().splitlines()]
        ticks = sum(int(line[4]) + int(line[5]) for line in lines if line and line[0] in names)
        return Reading(ticks / os.sysconf("SC_CLK_TCK"), time.process_time(), time.monotonic())
    return None


def free_cpus(before: Reading | None, after: Reading | None) -> float | None:
    """CPUs that other processes did not use between two readings; None if unknown."""
    if before is None or after is None or after.time <= before.time:
        return None
    return (after.idle - before.idle + after.own - before.own) / (after.time - before.time)


class Threads(NamedTuple):
    """The number of threads that compute, and the reason."""

    number: int
    why: str


def choose_threads(
    allowed: int, free: float | None, environment: Mapping[str, str]
) -> Threads | None:
    """The threads of a run: all CPUs that it may use, or those that others leave.

    Args:
        allowed: CPUs that this process may use.
        free: CPUs that other processes do not use; None if unknown.
        environment: Environment variables.

    Returns:
        None if a person has chosen, with `OMP_NUM_THREADS`.
    """
    if set(PERSON) & set(environment):
        return None
    most = environment.get(MOST, "")
    share = min(allowed, max(1, int(most))) if most.isdecimal() else allowed
    part = f"of {allowed} CPU{'s' * (allowed != 1)}"
    if free is not None and free < (1 - BUSY) * allowed and (left := max(1, round(free))) < share:
        return Threads(left, f"{part}; other processes use the rest")
    if share < allowed:
        return Threads(share, f"{part}, its share of the benchmark")
    return Threads(share, part)


def wait_passively() -> None:
    """Let waiting threads sleep. This has an effect only before torch is imported.

    By default they wait in a loop, which keeps a CPU from the threads that they wait for, if other
    processes use the CPUs too.
    """
    if not set(WAITING) & set(os.environ):
        os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
