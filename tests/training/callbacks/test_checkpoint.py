"""Whatever cuts a write off, one whole checkpoint stands under its name."""

import os
import signal
from pathlib import Path

import fsspec
import pytest
import torch

from ssseg.training.callbacks.checkpoint import AtomicCheckpointIO


def save(step: int, path: Path) -> None:
    AtomicCheckpointIO().save_checkpoint({"step": step}, path)


def step_of(path: Path) -> int:
    return torch.load(path, weights_only=True)["step"]


def killed(*args):
    os.kill(os.getpid(), signal.SIGKILL)


def half(checkpoint, file):
    file.write(b"half of a checkpoint")
    file.flush()
    killed()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("moment", ["write", "rename"])
def test_a_kill_leaves_the_checkpoint_that_was_there(tmp_path, moment):
    last = tmp_path / "last.ckpt"
    save(1, last)
    child = os.fork()
    if child == 0:  # nothing is cleaned up after a kill
        if moment == "write":
            torch.save = half
        else:
            os.rename = os.replace = killed
        save(2, last)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert step_of(last) == 1
    save(3, last)
    assert step_of(last) == 3
    assert not list(tmp_path.glob("*.part"))


def test_it_is_written_where_it_will_stay(tmp_path, monkeypatch):
    """A move from another file system is a copy, which can be cut off in its middle."""
    folders = []
    rename = os.rename, os.replace

    def watched(call):
        def replace(source, target, *args, **kwargs):
            folders.append((Path(source).parent, Path(target).parent))
            return call(source, target, *args, **kwargs)

        return replace

    monkeypatch.setattr(os, "rename", watched(rename[0]))
    monkeypatch.setattr(os, "replace", watched(rename[1]))
    save(1, tmp_path / "checkpoints" / "last.ckpt")
    assert folders == [(tmp_path / "checkpoints", tmp_path / "checkpoints")]


def test_the_one_before_is_kept(tmp_path):
    last, previous = tmp_path / "last.ckpt", tmp_path / "previous.ckpt"
    save(1, last)
    assert not previous.exists()
    for step in (2, 3):
        save(step, last)
        assert (step_of(last), step_of(previous)) == (step, step - 1)
    save(4, tmp_path / "best.ckpt")
    assert step_of(previous) == 2


def test_a_file_system_without_second_names(tmp_path, monkeypatch):
    def refused(*args):
        raise OSError("no hard links here")

    monkeypatch.setattr(os, "link", refused)
    for step in (1, 2):
        save(step, tmp_path / "last.ckpt")
    assert step_of(tmp_path / "last.ckpt") == 2


def test_an_address_is_left_to_lightning():
    AtomicCheckpointIO().save_checkpoint({"step": 5}, "memory://runs/last.ckpt")
    with fsspec.open("memory://runs/last.ckpt", "rb") as file:
        assert torch.load(file, weights_only=True) == {"step": 5}
