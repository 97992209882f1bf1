"""Real processes: places, order, and that nothing trains when nobody watches."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import ssseg
from ssseg.benchmarking.launchers import Local

STARTS_A_RUN = """
import sys, time
from pathlib import Path
from ssseg.benchmarking.launchers import Local
Local(1, 1).start([sys.argv[2:]], Path(sys.argv[1]))
print("started", flush=True)
time.sleep(60)
"""
LOOKS_AHEAD = """
import sys
from ssseg.benchmarking import preflight as forecast
forecast._ask([], False, 0, None)
"""
REHEARSAL = """
import os, sys, time
from pathlib import Path
Path(sys.argv[0]).with_name("number").write_text(str(os.getpid()))
time.sleep(100)
"""
LONG = [
    *("fit", "--method", "supervised", "--data.train_images", "8", "--data.val_images", "2"),
    *("--data.size", "32", "--data.labeled", "all", "--trainer.accelerator", "cpu"),
    *("--network.encoder", "test_resnet", "--network.depth", "3"),
    *("--trainer.max_steps", "100000", "--trainer.val_check_interval", "100000"),
]


def finished(handle, seconds=60):
    deadline = time.monotonic() + seconds
    while (code := handle.poll()) is None and time.monotonic() < deadline:
        time.sleep(0.02)
    return code


def test_commands_one_after_another_until_one_fails(tmp_path):
    launcher = Local(1, 1)
    log = tmp_path / "run.log"
    assert finished(launcher.start([["--version"], ["datasets"]], log)) == 0
    lines = log.read_text().splitlines()
    assert lines[0] == ssseg.__version__
    assert lines[1].startswith("street")
    assert finished(launcher.start([["fti"], ["datasets"]], log)) == 2
    assert "did you mean" in log.read_text().splitlines()[-1]


def test_each_place_has_its_gpu_and_is_given_back():
    launcher = Local(3, 1, ["4", "7"])
    started = []

    class SeenError(Exception):
        """Nothing is started here."""

    def popen(command, *, env, **_):
        started.append(env["CUDA_VISIBLE_DEVICES"])
        raise SeenError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subprocess, "Popen", popen)
        for _ in range(3):
            with pytest.raises(SeenError):
                launcher.start([["--version"]], Path(os.devnull))
    assert started == ["4", "7", "4"]


def test_gpus_are_left_to_runs_that_choose_for_themselves(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5")
    seen = []

    def popen(command, *, env, **_):
        seen.append(env["CUDA_VISIBLE_DEVICES"])
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(subprocess, "Popen", popen)
    Local(1, 1).start([["--version"]], Path(os.devnull))
    assert seen == ["5"]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems leave children alone")
def test_a_run_does_not_outlive_a_benchmark_that_was_killed(tmp_path):
    folder, log = tmp_path / "run", tmp_path / "run.log"
    command = [sys.executable, "-c", STARTS_A_RUN, str(log), *LONG, "--out", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout.readline() == "started\n"
        deadline = time.monotonic() + 100
        while not (folder / "progress.json").is_file():
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    deadline = time.monotonic() + 60
    while not (folder / "checkpoints" / "last.ckpt").is_file():  # it saved, as it was told to end
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.1)
    lock = folder.with_name(".run.lock")
    while lock.exists():
        assert time.monotonic() < deadline, "it goes on"
        time.sleep(0.1)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems leave children alone")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_look_ahead_does_not_outlive_a_benchmark_that_was_killed(tmp_path, how):
    package = tmp_path / "ssseg"
    shutil.copytree(Path(ssseg.__file__).parent, package)
    (package / "cli" / "preflight.py").write_text(REHEARSAL)  # one that takes its time
    number = package / "cli" / "number"
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    parent = subprocess.Popen([sys.executable, "-c", LOOKS_AHEAD], env=environment)
    deadline = time.monotonic() + 60
    while not (number.is_file() and number.read_text()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    parent.send_signal(how)
    parent.wait()
    child = Path("/proc") / number.read_text() / "stat"
    while child.is_file() and child.read_text().rpartition(")")[2].split()[0] != "Z":
        assert time.monotonic() < deadline, "it goes on"
        time.sleep(0.02)
