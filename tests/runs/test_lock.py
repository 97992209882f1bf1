"""One process per run folder, however it ends."""

import os
import signal
import subprocess
import sys
import threading

import pytest

from ssseg.cli.main import main
from ssseg.errors import UserError
from ssseg.runs.lock import FolderLock, first_free, is_held

HOLD = "import sys; from pathlib import Path; from ssseg.runs.lock import FolderLock; "
HOLD += "lock = FolderLock(Path(sys.argv[1])); print('held', flush=True); sys.stdin.read()"


@pytest.fixture
def other(tmp_path):
    """Another process that holds the folder."""
    command = [sys.executable, "-c", HOLD, str(tmp_path / "run")]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_folder_that_somebody_holds_is_refused(other, tmp_path, capsys):
    assert is_held(tmp_path / "run")
    with pytest.raises(UserError, match=f"by another process .number {other.pid}.; wait for it"):
        FolderLock(tmp_path / "run")
    assert main(["fit", "--method", "supervised", "--out", str(tmp_path / "run")]) == 2
    assert "is being trained by another process" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_it_is_free_when_its_holder_was_killed(other, tmp_path):
    other.kill()
    other.wait()
    assert not is_held(tmp_path / "run")
    FolderLock(tmp_path / "run").release()


WITH_WORKER = """
import os, sys, time
from pathlib import Path
from ssseg.runs.lock import FolderLock
lock = FolderLock(Path(sys.argv[1]))
begun, begin = os.pipe()
if os.fork() == 0:
    os.write(begin, b"1")
    time.sleep(60)
os.read(begun, 1)
print("held", flush=True)
sys.stdin.read()
"""


def test_workers_that_outlive_it_hold_nothing(tmp_path):
    """Those of a data loader notice only after seconds that they are alone."""
    command = [sys.executable, "-c", WITH_WORKER, str(tmp_path / "run")]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, start_new_session=True, **pipes) as process:
        assert process.stdout.readline() == "held\n"
        assert is_held(tmp_path / "run")
        process.kill()
        process.wait()
        os.killpg(process.pid, 0)  # the worker is there
        assert not is_held(tmp_path / "run")
        os.killpg(process.pid, signal.SIGKILL)


def test_the_next_free_folder_is_not_one_that_somebody_is_about_to_make(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    lock = FolderLock(tmp_path / "runs" / "street-supervised-seed0")
    tiny = ["--data.train_images", "8", "--data.val_images", "2", "--data.labeled", "all"]
    args = ["fit", "--method", "supervised", *tiny, "--trainer.max_steps", "1"]
    assert main([*args, "--data.size", "32", "--trainer.accelerator", "cpu"]) == 0
    assert [p.name for p in (tmp_path / "runs").iterdir() if p.is_dir()] == [
        "street-supervised-seed0-2"
    ]
    lock.release()


def test_nothing_is_left(tmp_path):
    lock = FolderLock(tmp_path / "a" / "b" / "run")
    assert is_held(tmp_path / "a" / "b" / "run")
    lock.release()
    lock.release()
    assert not list(tmp_path.iterdir())
    assert not is_held(tmp_path / "nowhere" / "run")


def test_who_asks_whether_a_folder_is_held_keeps_nobody_out(tmp_path):
    """Asking has the lock for an instant, in which a run may start."""
    folder, done = tmp_path / "run", threading.Event()

    def ask():
        while not done.is_set():
            is_held(folder)

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        for _ in range(100):
            FolderLock(folder).release()
    finally:
        done.set()
        asking.join()


def test_of_two_that_ask_at_once_each_gets_a_name(tmp_path):
    """Both have seen that the first name is free; the lock decides."""
    start = threading.Barrier(4)
    taken = []

    def take():
        start.wait()
        taken.append(first_free(tmp_path / "runs" / "street"))

    takers = [threading.Thread(target=take) for _ in range(4)]
    for taker in takers:
        taker.start()
    for taker in takers:
        taker.join()
    found = sorted(lock.folder.name for lock in taken)
    assert found == ["street", "street-2", "street-3", "street-4"]
    for lock in taken:
        lock.release()
    assert not list(tmp_path.glob("runs/.*"))
