"""The process that looks ahead, beside a real parent."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

PARENT = """
import os, subprocess, sys, time
command = [sys.executable, "-m", "ssseg.cli.look_ahead", str(os.getpid())]
print(subprocess.Popen(command).pid, flush=True)
time.sleep(100)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="states of processes are read in /proc")
def test_it_ends_with_its_parent_without_a_signal():
    """Its input stays open, so that nothing else ends it."""
    command = [sys.executable, "-c", PARENT]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, text=True, **pipes) as parent:
        child = Path("/proc") / parent.stdout.readline().strip() / "stat"
        time.sleep(3)
        assert child.read_text().rpartition(")")[2].split()[0] != "Z", "it waits for its input"
        parent.kill()
        parent.wait()
        deadline = time.monotonic() + 60
        while child.is_file() and child.read_text().rpartition(")")[2].split()[0] != "Z":
            assert time.monotonic() < deadline, "it goes on"
            time.sleep(0.05)
