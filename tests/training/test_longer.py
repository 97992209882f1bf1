"""A run that goes on with other options beside `--resume`, to more steps, or after an early end."""

import json
import shutil

import pytest
import torch

import ssseg
from ssseg.cli.main import main
from tests.training.test_resume import assert_equal

SMALL = [
    *("fit", "--method", "supervised", "--data.train_images", "8", "--data.val_images", "2"),
    *("--data.size", "32", "--data.labeled", "all", "--data.batch_size", "2"),
    *("--network.encoder", "test_resnet", "--network.depth", "3", "--trainer.accelerator", "cpu"),
    *("--trainer.val_check_interval", "2", "--trainer.log_every_n_steps", "1"),
]
CONSTANT = ["--optim.power", "0"]


def fit(folder, *options):
    assert main([*SMALL, *options, "--out", str(folder)]) == 0
    return folder


@pytest.fixture(scope="module")
def short(tmp_path_factory):
    """Two steps at a constant learning rate."""
    folder = tmp_path_factory.mktemp("short") / "run"
    return fit(folder, *CONSTANT, "--trainer.max_steps", "2")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Four of them."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    return fit(folder, *CONSTANT, "--trainer.max_steps", "4")


@pytest.fixture
def copy(short, tmp_path):
    return shutil.copytree(short, tmp_path / "run")


def test_more_steps_are_those_of_a_run_that_had_them_from_the_start(whole, copy, capsys):
    assert main(["fit", "--resume", str(copy), "--trainer.max_steps", "4"]) == 0
    said = capsys.readouterr().out
    assert "goes on    from step 2 of 2 to 4: from here on the learning rate (0.001 before" in said
    assert "(last step)" in said
    assert_equal(whole, copy, but=["config_hash", "earlier_lengths"])
    summary, other = ssseg.Run(copy).summary, ssseg.Run(whole).summary
    assert summary["earlier_lengths"] == [{"max_steps": 2, "until": 2}]
    assert summary["config_hash"] != other["config_hash"]
    assert other["earlier_lengths"] == []
    assert main(["fit", "--resume", str(copy)]) == 2
    assert "with more than its 4 steps" in capsys.readouterr().err


def test_the_learning_rate_is_that_of_the_longer_run(short, tmp_path, monkeypatch):
    """Also in the first step, of which the checkpoint holds the rate of the shorter run."""
    from ssseg.training.module import SegmentationModule

    folder, seen = tmp_path / "run", []
    fit(folder, "--trainer.max_steps", "2", "--optim.power", "1")
    usual = SegmentationModule.training_step

    def look(self, batch, batch_idx):
        seen.append(self.optimizers().param_groups[-1]["lr"])
        return usual(self, batch, batch_idx)

    monkeypatch.setattr(SegmentationModule, "training_step", look)
    assert main(["fit", "--resume", str(folder), "--trainer.max_steps", "4"]) == 0
    assert seen == pytest.approx([0.001 * (1 - 2 / 4), 0.001 * (1 - 3 / 4)])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--optim.lr", "0.5"], "option optim.lr is 0.5, but the run in"),
        (["--optim.power", "0.5"], "option optim.power is '0.5', but the run in"),
        (["--method", "classmix"], "option method is 'classmix', but the run in"),
        (["--nonsense.option", "3"], "nonsense"),
        (["--data.batch_size", "4"], "option data.batch_size is '4'"),
        (["--data.flip", "false"], "option data.flip is False, but the run in"),
        (["--out", "elsewhere"], "option --out is given beside --resume"),
        (["--init", "model.ckpt"], "option --init is given beside --resume"),
        (["--trainer.max_steps", "2"], "holds no unfinished run (it is finished)"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_what_contradicts_is_refused(copy, capsys, options, words):
    longer = [] if "max_steps" in options[0] else ["--trainer.max_steps", "4"]
    before = {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()}
    assert main(["fit", "--resume", str(copy), *longer, *options]) == 2
    assert words in capsys.readouterr().err
    assert before == {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()}


def test_what_does_not_contradict_is_obeyed(copy):
    """What says the same, and how the run is computed."""
    beside = ["--optim.lr", "0.001", "--method", "supervised", "--data.num_workers", "1"]
    beside += ["--trainer.max_steps", "4", "--trainer.precision", "bf16-mixed"]
    assert main(["fit", "--resume", str(copy), *beside]) == 0
    config = ssseg.Run(copy).folder.joinpath("config.yaml").read_text()
    assert "precision: bf16-mixed" in config
    assert "num_workers: 1" in config
    assert ssseg.Run(copy).summary["steps"] == 4
    assert "bf16-mixed" in (copy / "command.json").read_text(), "another interruption forgets it"


def test_fewer_steps_than_it_has_done(copy, capsys):
    (copy / "summary.json").unlink()  # as if it had been cut off
    assert main(["fit", "--resume", str(copy), "--trainer.max_steps", "1"]) == 2
    assert "trainer.max_steps is 1, but the run in" in capsys.readouterr().err


def test_data_with_other_labels(copy, capsys):
    path = copy / "checkpoints" / "last.ckpt"
    saved = torch.load(path, weights_only=True)
    saved["ssseg"]["data"]["split_hash"] = "another"
    torch.save(saved, path)
    assert main(["fit", "--resume", str(copy), "--trainer.max_steps", "4"]) == 2
    assert "the labeled images are not those that the run in" in capsys.readouterr().err
    assert (copy / "summary.json").is_file()


class TestEndedEarly:
    """By a callback, or its time: the last step that was trained is scored, and it can go on."""

    STOP = json.dumps(
        [
            {
                "class_path": "pytorch_lightning.callbacks.EarlyStopping",
                "init_args": {"monitor": "val/miou", "mode": "max", "patience": 1, "min_delta": 1},
            }
        ]
    )

    @pytest.fixture(scope="class")
    def stopped(self, tmp_path_factory):
        """The second validation is the first without an improvement."""
        folder = tmp_path_factory.mktemp("stopped") / "run"
        options = ["--trainer.callbacks", self.STOP, "--trainer.max_steps", "40"]
        return fit(folder, *CONSTANT, *options)

    def test_what_is_said(self, stopped):
        run = ssseg.Run(stopped)
        assert run.summary["steps"] == 4
        assert run.summary["ended_early"] == {"by": "EarlyStopping", "max_steps": 40}
        assert run.history[-1]["step"] == 4
        assert str(run).endswith("(step 4; ended by EarlyStopping at step 4 of 40)")
        assert not (stopped / "progress.json").exists()

    def test_it_goes_on_with_new_patience(self, stopped, tmp_path):
        folder = shutil.copytree(stopped, tmp_path / "run")
        assert main(["fit", "--resume", str(folder)]) == 0
        run = ssseg.Run(folder)
        assert run.summary["steps"] == 6, "one validation without an improvement ends it again"
        assert [row["step"] for row in run.history] == [2, 4, 6]

    def test_it_goes_on_to_its_end(self, stopped, tmp_path):
        folder = shutil.copytree(stopped, tmp_path / "run")
        beside = ["--trainer.callbacks", "null", "--trainer.max_steps", "6"]
        assert main(["fit", "--resume", str(folder), *beside]) == 0
        run = ssseg.Run(folder)
        assert (run.summary["steps"], run.summary["ended_early"]) == (6, None)
        assert str(run).endswith("(last step)")

    def test_a_time_begins_anew(self):
        from pytorch_lightning.callbacks import Timer

        from ssseg.training.callbacks.run_folder import restart

        timer = Timer(duration="00:00:00:10")
        timer.load_state_dict({"time_elapsed": {"train": 11.0}})
        assert timer.time_remaining() < 0
        restart([timer])
        assert timer.time_remaining() == 10
