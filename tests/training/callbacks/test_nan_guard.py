"""A NaN is caught where it appears, named, and found again."""

import pytest
import torch

import ssseg
from ssseg.cli.main import main
from ssseg.data.torch_datasets import TrainImages
from ssseg.methods.mean_teacher import MeanTeacher
from ssseg.runs.checkpoint import read_checkpoint
from ssseg.types import Labeled
from tests.conftest import make_data

STEP, SLOT = 12, 2


OPTIONS = [
    *("fit", "--method", "classmix", "--method.threshold", "0", "--method.warmup_steps", "3"),
    *("--data", "street", "--data.train_images", "24", "--data.val_images", "4"),
    *("--data.size", "32", "--data.labeled", "8", "--data.batch_size", "4"),
    *("--trainer.accelerator", "cpu", "--trainer.max_steps", "20"),
    *("--network.encoder", "test_resnet", "--network.depth", "3"),
    *("--trainer.val_check_interval", "20", "--checkpoint_every", "5"),
]


@pytest.fixture(params=["labeled", "unlabeled"])
def stream(request):
    return request.param


@pytest.fixture
def poisoned(monkeypatch, stream):
    """One pixel of one image of one step is NaN; its name."""
    names = []
    read = TrainImages.__getitem__

    def poison(self, draw):
        sample = read(self, draw)
        if (draw.stream, draw.step, draw.slot) == (stream, STEP, SLOT):
            records = self.labeled if stream == "labeled" else self.unlabeled
            names.append(records[draw.record].id)
            view = sample.image if isinstance(sample, Labeled) else sample[0].views[0]
            view[1, 3, 4] = torch.nan
        return sample

    monkeypatch.setattr(TrainImages, "__getitem__", poison)
    return names


def test_a_nan_in_one_image_of_one_step(tmp_path, poisoned, stream, capsys):
    folder = tmp_path / "run"
    assert main([*OPTIONS, "--out", str(folder)]) == 2
    said = capsys.readouterr().err
    assert f"step {STEP + 1} of 20: the loss is not a finite number" in said
    assert f"ssseg debug-nan {folder}" in said
    assert "Traceback" not in said

    last = folder / "checkpoints" / "last.ckpt"
    assert str(last) in said
    saved = read_checkpoint(last)
    assert saved["global_step"] == 10
    assert all(t.isfinite().all() for t in saved["state_dict"].values())
    assert not (folder / "summary.json").exists()

    batch = torch.load(folder / "nonfinite" / f"batch_{STEP:06d}.pt", weights_only=True)
    images = batch["labeled"]["image"] if stream == "labeled" else batch["unlabeled"]["views"][0]
    assert [bool(image.isnan().any()) for image in images] == [i == SLOT for i in range(4)]
    assert batch[stream]["images"][SLOT] == poisoned[0]

    before = sorted(path.name for path in folder.rglob("*"))
    assert main(["debug-nan", str(folder)]) == 0
    said = capsys.readouterr().out
    assert f"step {STEP + 1}, repeated from step 10:" in said
    assert f"{stream} image {poisoned[0]} holds 1 value that is not finite" in said
    network = "student" if stream == "labeled" else "teacher.module"
    assert f"the output of {network}.encoder" in said
    assert "and so is what goes into it" in said
    assert "losses: sup nan" in said if stream == "labeled" else "unsup nan" in said
    assert sorted(path.name for path in folder.rglob("*")) == before, "replaying left something"


@pytest.mark.slow
def test_once_mended_it_goes_on(tmp_path, poisoned, monkeypatch):
    folder, whole = tmp_path / "run", tmp_path / "whole"
    assert main([*OPTIONS, "--out", str(folder)]) == 2
    monkeypatch.undo()
    assert main(["fit", "--resume", str(folder)]) == 0
    assert main([*OPTIONS, "--out", str(whole)]) == 0
    states = [
        read_checkpoint(f / "checkpoints" / "last.ckpt")["state_dict"] for f in (folder, whole)
    ]
    assert all(torch.equal(tensor, states[1][name]) for name, tensor in states[0].items())


@pytest.fixture
def lost_gradient(monkeypatch):
    """A loss that is finite and whose gradient is not: the root of 0."""
    losses = MeanTeacher.losses

    def with_root(self, batch, step):
        out = losses(self, batch, step)
        if step.index == STEP:
            parameter = next(self.student.parameters())
            extra = (0 * parameter).sum().sqrt()
            return out._replace(losses={**out.losses, "extra": extra})
        return out

    monkeypatch.setattr(MeanTeacher, "losses", with_root)


def test_weights_that_are_no_numbers_are_not_saved(tmp_path, lost_gradient, capsys):
    folder = tmp_path / "run"
    options = [*OPTIONS[:-1], "1"]  # a checkpoint after every step
    assert main([*options, "--out", str(folder)]) == 2
    assert f"step {STEP + 1}: a weight is not a finite number" in capsys.readouterr().err
    assert read_checkpoint(folder / "checkpoints" / "last.ckpt")["global_step"] == STEP
    assert main(["debug-nan", str(folder)]) == 0
    said = capsys.readouterr().out
    assert f"step {STEP + 1}, repeated from step {STEP}:" in said
    found = ssseg.debug_nan(folder)
    assert (found.started_at, found.step) == (STEP, STEP + 1)
    assert all(line in said for line in found.lines)
    assert "all losses are finite; the gradient of" in said


def test_a_nan_in_the_first_step_leaves_its_batch(tmp_path, poisoned, monkeypatch, capsys):
    monkeypatch.setattr("tests.training.callbacks.test_nan_guard.STEP", 0)
    folder = tmp_path / "run"
    assert main([*OPTIONS, "--out", str(folder), "--method.warmup_steps", "0"]) == 2
    assert "There is no checkpoint yet" in capsys.readouterr().err
    assert (folder / "nonfinite" / "batch_000000.pt").is_file()
    assert main(["debug-nan", str(folder)]) == 0
    assert "step 1, repeated from step 0:" in capsys.readouterr().out


def test_a_device_that_must_not_wait_looks_where_numbers_are_logged(
    tmp_path, poisoned, monkeypatch
):
    """As on a GPU: the NaN is noted when it appears, and told later; nothing is saved between."""
    looked = []
    look = ssseg.training.callbacks.nan_guard.StopAtNaN._look

    def count(self, trainer, module, batch=None):
        looked.append(trainer.global_step)
        look(self, trainer, module, batch)

    monkeypatch.setattr("ssseg.training.callbacks.nan_guard.StopAtNaN._look", count)
    monkeypatch.setattr("ssseg.training.callbacks.nan_guard.WAITS", ())
    folder = tmp_path / "run"
    assert main([*OPTIONS[:-2], "--out", str(folder)]) == 2
    assert looked == [10, 20]
    batch = torch.load(folder / "nonfinite" / f"batch_{STEP:06d}.pt", weights_only=True)
    assert batch["batch"] == STEP


def test_a_batch_is_drawn_again_as_it_was():
    data = make_data(num_views=1)
    batches = iter(data.train_dataloader())
    for number in range(3):
        batch, drawn = next(batches), data.draw(number)
        assert torch.equal(batch.labeled.image, drawn.batch.labeled.image)
        assert torch.equal(batch.unlabeled.views[0], drawn.batch.unlabeled.views[0])
        assert (len(drawn.labeled), len(drawn.unlabeled)) == (4, 4)
