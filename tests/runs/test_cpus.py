"""CPUs of containers and of busy machines, in files like those of Linux and in real processes."""

import os
import subprocess
import sys
import time

import pytest

from ssseg.runs.cpus import (
    MOST,
    Reading,
    allowed_cpus,
    choose_threads,
    free_cpus,
    read_load,
    wait_passively,
)


@pytest.fixture(autouse=True)
def machine(monkeypatch):
    """A machine with 16 CPUs, of which this process may use 8."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(4, 12)), raising=False)


def file_of(root, path, text):
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text)


def test_without_a_quota_the_affinity_counts(tmp_path):
    assert allowed_cpus(tmp_path) == 8
    file_of(tmp_path, "proc/self/cgroup", "0::/a\n")
    file_of(tmp_path, "sys/fs/cgroup/a/cpu.max", "max 100000\n")
    assert allowed_cpus(tmp_path) == 8


@pytest.mark.parametrize(
    ("quota", "cpus"), [("300000", 3), ("250000", 2), ("50000", 1), ("1600000", 8)]
)
def test_quotas_of_both_versions(tmp_path, quota, cpus):
    """A thread more than the quota would have the others wait for it."""
    new, old = tmp_path / "new", tmp_path / "old"
    file_of(new, "proc/self/cgroup", "0::/user/job\n")
    file_of(new, "sys/fs/cgroup/user/job/cpu.max", f"{quota} 100000\n")
    file_of(old, "proc/self/cgroup", "4:memory:/x\n3:cpu,cpuacct:/docker/1\n0::/\n")
    file_of(old, "sys/fs/cgroup/cpu,cpuacct/docker/1/cpu.cfs_quota_us", f"{quota}\n")
    file_of(old, "sys/fs/cgroup/cpu,cpuacct/docker/1/cpu.cfs_period_us", "100000\n")
    assert (allowed_cpus(new), allowed_cpus(old)) == (cpus, cpus)


def test_the_smallest_quota_of_all_groups_around_holds(tmp_path):
    file_of(tmp_path, "proc/self/cgroup", "0::/user/job\n")
    file_of(tmp_path, "sys/fs/cgroup/user/job/cpu.max", "500000 100000\n")
    file_of(tmp_path, "sys/fs/cgroup/user/cpu.max", "200000 100000\n")
    assert allowed_cpus(tmp_path) == 2


def test_a_container_sees_its_own_group_as_the_root(tmp_path):
    file_of(tmp_path, "proc/self/cgroup", "0::/../outside\n")
    file_of(tmp_path, "sys/fs/cgroup/cpu.max", "400000 100000\n")
    assert allowed_cpus(tmp_path) == 4
    old = tmp_path / "old"
    file_of(old, "sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n")
    file_of(old, "sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n")
    assert allowed_cpus(old) == 8


def test_the_load_is_read_of_the_cpus_that_we_may_use(tmp_path):
    tick = os.sysconf("SC_CLK_TCK")
    lines = ["cpu  9 9 9 9 9", *(f"cpu{n} 5 0 5 {n * tick} {tick} 0" for n in range(16)), "intr 1"]
    file_of(tmp_path, "proc/stat", "\n".join(lines))
    reading = read_load(tmp_path)
    assert reading.idle == sum(range(4, 12)) + 8
    assert read_load(tmp_path / "nowhere") is None


def test_our_own_work_is_not_that_of_others():
    start = Reading(idle=100.0, own=3.0, time=50.0)
    assert free_cpus(start, Reading(idle=106.0, own=5.0, time=52.0)) == 4.0
    assert free_cpus(start, start) is None
    assert free_cpus(None, start) is None


@pytest.mark.skipif(sys.platform != "linux", reason="the load is known on Linux only")
def test_a_busy_process_is_seen(monkeypatch):
    monkeypatch.undo()
    (cpu, *_) = os.sched_getaffinity(0)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {cpu})
    code = f"import os; os.sched_setaffinity(0, {{{cpu}}}); print(flush=True)\nwhile True: pass"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as busy:
        busy.stdout.readline()
        before = read_load()
        time.sleep(0.5)
        free = free_cpus(before, read_load())
        busy.kill()
    assert free < 0.5


@pytest.mark.parametrize(
    ("allowed", "free", "most", "number", "why"),
    [
        (8, None, None, 8, "of 8 CPUs"),
        (8, 7.9, None, 8, "of 8 CPUs"),
        (8, 6.1, None, 8, "of 8 CPUs"),  # what a machine does besides is no other work
        (8, 5.2, None, 5, "of 8 CPUs; other processes use the rest"),
        (2, 0.1, None, 1, "of 2 CPUs; other processes use the rest"),
        (2, 1.1, None, 1, "of 2 CPUs; other processes use the rest"),
        (1, 0.0, None, 1, "of 1 CPU"),
        (8, 7.9, "4", 4, "of 8 CPUs, its share of the benchmark"),
        (8, 4.2, "4", 4, "of 8 CPUs, its share of the benchmark"),  # the other half is its own
        (8, 2.0, "4", 2, "of 8 CPUs; other processes use the rest"),
        (2, 2.0, "64", 2, "of 2 CPUs"),  # counted on another machine
    ],
)
def test_threads_of_a_run(allowed, free, most, number, why):
    environment = {} if most is None else {MOST: most}
    assert choose_threads(allowed, free, environment) == (number, why)


@pytest.mark.parametrize("name", ["OMP_NUM_THREADS", "MKL_NUM_THREADS"])
def test_what_a_person_has_chosen_holds(name):
    assert choose_threads(8, 0.0, {name: "8", MOST: "2"}) is None


@pytest.mark.parametrize("name", ["OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME"])
def test_threads_wait_passively_where_no_person_has_chosen(name, monkeypatch):
    for known in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME"):
        monkeypatch.delenv(known, raising=False)
    monkeypatch.setenv(name, "7")
    wait_passively()
    assert os.environ.get("OMP_WAIT_POLICY") == ("7" if name == "OMP_WAIT_POLICY" else None)
    monkeypatch.delenv(name)
    wait_passively()
    assert os.environ["OMP_WAIT_POLICY"] == "PASSIVE"
