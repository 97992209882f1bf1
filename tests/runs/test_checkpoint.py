"""Checkpoints are read once per command; what is no checkpoint is refused in one sentence."""

from collections import Counter
from pathlib import Path

import pytest
import torch

import ssseg
from ssseg.cli.main import main
from ssseg.errors import UserError
from ssseg.runs.checkpoint import each_read_once, read_checkpoint, take_checkpoint
from tests.cli.small_runs import fit

CPU = ["--trainer.accelerator", "cpu"]
TINY = {"train_images": 12, "val_images": 4, "test_images": 4, "size": 32}
TINY |= {"labeled": 8, "batch_size": 4}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("read") / "run"
    trainer = {"accelerator": "cpu"}
    return ssseg.fit("classmix", network="small", out=folder, max_steps=3, trainer=trainer, **TINY)


@pytest.fixture
def reads(monkeypatch):
    """How often each file is read."""
    counts, usual = Counter(), torch.load

    def load(file, *args, **options):
        counts[Path(getattr(file, "name", file)).name] += 1
        return usual(file, *args, **options)

    monkeypatch.setattr(torch, "load", load)
    return counts


def save(path, step=1):
    torch.save({"ssseg": {}, "global_step": step, "state_dict": {}}, path)
    return path


@pytest.mark.parametrize("verb", ["validate", "test"])
def test_an_evaluation_reads_its_checkpoint_once(run, reads, tmp_path, verb):
    args = ["--ckpt_path", str(run.checkpoint()), "--out", str(tmp_path / "page")]
    assert main([verb, *args]) == 0
    assert reads == {"last.ckpt": 1}
    assert (tmp_path / "page" / "scores.json").is_file()


def test_prediction_and_export_read_it_once(run, reads, tmp_path):
    picture = next((run.folder / "samples" / "tiles").glob("input_*.png"))
    out = ["--out", str(tmp_path / "out"), "--device", "cpu"]
    assert main(["predict", str(run.checkpoint()), str(picture), *out]) == 0
    assert reads == {"last.ckpt": 1}
    ssseg.export(run.checkpoint(), out=tmp_path / "model.safetensors")
    assert reads == {"last.ckpt": 2}


@pytest.mark.parametrize("more", [["--resume"], ["--ckpt_path", "--out"], ["--init", "--out"]])
def test_training_on_reads_it_once(run, reads, tmp_path, more):
    """With more steps in its own folder, from a file, and with its weights alone."""
    own = tmp_path / "run"
    (own / "checkpoints").mkdir(parents=True)
    for name in ("config.yaml", "command.json", "summary.json", "metrics.csv"):
        (own / name).write_bytes((run.folder / name).read_bytes())
    (own / "checkpoints" / "last.ckpt").write_bytes(run.checkpoint().read_bytes())
    if more == ["--resume"]:
        args = ["--resume", str(own)]
    else:
        flag, out = more
        args = ["--config", str(own / "config.yaml"), out, str(tmp_path / "other")]
        args += [flag, str(own / "checkpoints" / "last.ckpt")]
    assert main(["fit", *args, "--trainer.max_steps", "5", *CPU]) == 0
    assert reads == {"last.ckpt": 1}
    folder = own if more == ["--resume"] else tmp_path / "other"
    assert ssseg.Run(folder).summary["steps"] == 5


def test_the_search_for_a_batch_size_reads_it_once(run, reads, capsys):
    data = [f"--data.{name}={value}" for name, value in TINY.items()]
    init = ["--init", str(run.checkpoint()), "--network", "small", *CPU]
    assert main(["find-batch-size", "--method", "supervised", *data, *init]) == 0
    assert "largest" in capsys.readouterr().out
    assert reads == {"last.ckpt": 1}


def test_a_file_that_changes_is_read_again(reads, tmp_path):
    path = save(tmp_path / "a.ckpt")
    with each_read_once():
        assert read_checkpoint(path) is read_checkpoint(str(path))
        path.unlink()
        save(path, 2)
        assert read_checkpoint(path)["global_step"] == 2
    assert reads == {"a.ckpt": 2}


def test_nothing_is_kept_once_it_is_taken(reads, tmp_path):
    one, other = save(tmp_path / "a.ckpt"), save(tmp_path / "b.ckpt")
    with each_read_once():
        taken = read_checkpoint(one)
        read_checkpoint(other)
        assert take_checkpoint(one) is taken
        assert read_checkpoint(one) is not taken
    assert read_checkpoint(one) is not read_checkpoint(one), "nor outside of a command"


def test_a_file_that_cannot_be_read_is_asked_again(reads, tmp_path):
    path = tmp_path / "a.ckpt"
    path.write_bytes(b"torn")
    with each_read_once():
        for _ in range(2):
            with pytest.raises(UserError, match="is not a checkpoint"):
                read_checkpoint(path)
    assert reads == {"a.ckpt": 2}


def test_a_checkpoint_of_another_network_is_one_sentence(here, capfd):
    assert fit("--method", "supervised", "--out", "run") == 0
    args = ["--ckpt_path", "run/checkpoints/last.ckpt", "--out", "other"]
    assert (
        fit(
            "--method",
            "supervised",
            "--network",
            "fpn",
            "--network.weights",
            "random",
            *args,
            steps=5,
        )
        == 2
    )
    err = capfd.readouterr().err
    assert "the checkpoint's network has decoder = 'unet', but this run's has 'fpn'" in err
    assert not (here / "other").exists()


def test_a_file_that_is_no_checkpoint_is_one_sentence(here, capfd):
    (here / "notes.ckpt").write_bytes(b"nothing of the kind")
    assert fit("--method", "supervised", "--ckpt_path", "notes.ckpt", "--out", "run") == 2
    assert "notes.ckpt is not a checkpoint" in capfd.readouterr().err
