"""A run that is cut off, at any moment and in any way, ends as one that was not."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time

import pytest
import torch

import ssseg
from ssseg.cli.main import main

STEPS = 28
OPTIONS = [
    *("fit", "--method", "classmix", "--method.threshold", "0", "--data", "street"),
    *("--data.train_images", "24", "--data.val_images", "4", "--data.size", "32"),
    *("--data.labeled", "8", "--data.batch_size", "4", "--trainer.accelerator", "cpu"),
    *("--network.encoder", "test_resnet", "--network.depth", "3"),
    *("--trainer.max_steps", str(STEPS), "--trainer.val_check_interval", "10"),
    *("--trainer.log_every_n_steps", "3", "--checkpoint_every", "4"),
]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / "run"
    assert main([*OPTIONS, "--out", str(folder)]) == 0
    return folder


def start(folder, cwd=None, **environment):
    threads = str(torch.get_num_threads())
    return subprocess.Popen(
        [sys.executable, "-m", "ssseg", *OPTIONS, "--out", str(folder)],
        env={**os.environ, "OMP_NUM_THREADS": threads, **environment},
        cwd=cwd,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def cut_off(folder, how, at_step, **where):
    """Start the run in a process and end it when its newest checkpoint is of some step."""
    process = start(folder, **where)
    last = folder / "checkpoints" / "last.ckpt"
    try:
        while process.poll() is None:
            if last.is_file() and torch.load(last, weights_only=True)["global_step"] >= at_step:
                process.send_signal(how)
                break
            time.sleep(0.01)
        process.wait(60)
    finally:
        process.kill()
    assert not (folder / "summary.json").exists(), "it was over before it was cut off"
    return torch.load(last, weights_only=True)["global_step"]


def assert_equal(first, second, but=()):
    """The same run to the bit, but for times, memory and some keys of the summary."""
    states = [
        torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
        for folder in (first, second)
    ]
    for name, tensor in states[0].items():
        assert torch.equal(tensor, states[1][name]), name
    runs = [ssseg.Run(folder) for folder in (first, second)]
    own = {"seconds", "data_wait", "peak_memory_mb", "command", *but}  # `--out` is in the command
    summaries = [{k: v for k, v in run.summary.items() if k not in own} for run in runs]
    assert summaries[0] == summaries[1]
    rows = [
        [{k: v for k, v in row.items() if "seconds" not in k} for row in run.metrics]
        for run in runs
    ]
    assert rows[0] == rows[1], "logs have a gap, or rows twice"


@pytest.mark.parametrize(
    "how", [signal.SIGKILL, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)]
)
def test_the_same_command_goes_on(whole, tmp_path, how):
    folder = tmp_path / "run"
    step = cut_off(folder, how, at_step=8)
    if how == signal.SIGKILL:
        assert step % 4 == 0 or step % 10 == 0
    assert main([*OPTIONS, "--out", str(folder)]) == 0
    assert_equal(whole, folder)


@pytest.mark.slow
def test_a_job_that_slurm_puts_back_into_the_queue(whole, tmp_path):
    """SIGUSR1 some time before the end; the job is put back, which ends it by SIGTERM."""
    slurm = tmp_path / "bin" / "scontrol"
    slurm.parent.mkdir()
    slurm.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\nkill -TERM $PPID\n')
    slurm.chmod(0o755)
    job = {"JOB_ID": "7", "JOB_NAME": "train", "NTASKS": "1", "PROCID": "0", "LOCALID": "0"}
    environment = {f"SLURM_{name}": value for name, value in job.items()} | {
        "SLURM_NODEID": "0",
        "PATH": f"{slurm.parent}:{os.environ['PATH']}",
    }
    folder, cwd = tmp_path / "run", tmp_path / "cwd"
    cwd.mkdir()
    cut_off(folder, signal.SIGUSR1, at_step=8, cwd=cwd, **environment)
    assert (tmp_path / "asked").read_text().startswith("requeue 7")
    assert not list(cwd.iterdir()), "another run would begin with it"
    again = start(folder, cwd=cwd, **environment)
    assert again.wait(300) == 0
    assert_equal(whole, folder)


@pytest.mark.slow
def test_cut_off_while_it_validates(whole, tmp_path, monkeypatch):
    """The newest checkpoint must not be of the very step whose validation is still to come."""
    from ssseg.training.callbacks.run_folder import RunFolder

    folder, kept = tmp_path / "run", tmp_path / "kept.ckpt"
    options = [*OPTIONS[:-1], "5"]

    def keep(self, trainer, module):
        if trainer.global_step == 20:
            shutil.copy(folder / "checkpoints" / "last.ckpt", kept)

    monkeypatch.setattr(RunFolder, "on_validation_start", keep)
    assert main([*options, "--out", str(folder)]) == 0
    monkeypatch.undo()
    assert torch.load(kept, weights_only=True)["global_step"] == 15
    shutil.move(kept, folder / "checkpoints" / "last.ckpt")
    (folder / "summary.json").unlink()
    assert main([*options, "--out", str(folder)]) == 0
    assert_equal(whole, folder, but=["config_hash"])  # it is saved more often


@pytest.mark.parametrize(
    ("hook", "step"),
    [
        pytest.param("on_train_batch_start", 7, marks=pytest.mark.slow),
        pytest.param("on_train_batch_end", 7, marks=pytest.mark.slow),
        ("on_train_batch_end", 9),  # a validation follows
        pytest.param("on_validation_start", 10, marks=pytest.mark.slow),
        pytest.param("on_validation_end", 10, marks=pytest.mark.slow),
        ("on_save_checkpoint", 12),
    ],
)
def test_told_to_end_at_any_place_of_a_step(whole, tmp_path, monkeypatch, hook, step):
    """SIGTERM saves at once: no step is done again, but those of a validation under way."""
    from ssseg.training.callbacks.progress import ProgressFile

    folder = tmp_path / "run"
    told = []

    def tell(self, trainer, *args, **kwargs):
        if trainer.global_step == step and not told:
            told.append(hook)
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(ProgressFile, hook, tell)
    with pytest.raises(SystemExit) as ended:
        main([*OPTIONS, "--out", str(folder)])
    assert ended.value.code == 143
    assert told
    monkeypatch.undo()
    saved = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["global_step"]
    assert step <= saved <= step + 1
    assert main([*OPTIONS, "--out", str(folder)]) == 0
    assert_equal(whole, folder)


class Killed(BaseException):
    """Stands for a SIGKILL in this process."""


def killed_after_saving(monkeypatch, step):
    """The next run dies right after it has saved a step."""
    from ssseg.training.callbacks.checkpoint import LastCheckpoint

    usual = LastCheckpoint.save

    def save(self, trainer):
        usual(self, trainer)
        if trainer.global_step == step:
            raise Killed

    monkeypatch.setattr(LastCheckpoint, "save", save)


def test_an_alert_is_raised_where_it_would_have_been(tmp_path, monkeypatch):
    """It takes ten readings in a row, of which one is of the step of the checkpoint."""
    eager = ("--method.threshold", "0.01", "--trainer.log_every_n_steps", "2")
    eager += ("--trainer.max_steps", "40", "--trainer.val_check_interval", "40")
    folders = tmp_path / "whole", tmp_path / "run"
    assert main([*OPTIONS, *eager, "--out", str(folders[0])]) == 0
    (alert,) = ssseg.Run(folders[0]).summary["alerts"]
    assert 24 < alert["step"] <= 40
    with monkeypatch.context() as patched:
        killed_after_saving(patched, step=24)
        with pytest.raises(Killed):
            main([*OPTIONS, *eager, "--out", str(folders[1])])
    assert main([*OPTIONS, *eager, "--out", str(folders[1])]) == 0
    assert_equal(*folders)


def test_killed_between_a_checkpoint_and_its_row(whole, tmp_path, monkeypatch):
    """Lightning logs a step's numbers after the callbacks that may have saved it."""
    folder = tmp_path / "run"
    with monkeypatch.context() as patched:
        killed_after_saving(patched, step=12)
        with pytest.raises(Killed):
            main([*OPTIONS, "--out", str(folder)])
    assert torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["global_step"] == 12
    assert main([*OPTIONS, "--out", str(folder)]) == 0
    assert_equal(whole, folder)


class TestAccumulating:
    """Gradients of part of a step are in no checkpoint."""

    OPTIONS = (*OPTIONS, "--trainer.max_steps", "18", "--trainer.accumulate_grad_batches", "2")

    @pytest.fixture(scope="class")
    def whole(self, tmp_path_factory):
        folder = tmp_path_factory.mktemp("accumulating") / "run"
        assert main([*self.OPTIONS, "--out", str(folder)]) == 0
        return folder

    def test_killed_in_the_middle_of_a_step(self, whole, tmp_path, monkeypatch):
        from ssseg.training.callbacks.checkpoint import LastCheckpoint

        folder, seen = tmp_path / "run", []
        usual = LastCheckpoint.on_train_batch_end

        def hooked(self, trainer, *args):
            usual(self, trainer, *args)
            seen.append(trainer.global_step)
            if seen[-2:] == [8, 8]:  # the first half of the ninth step
                raise Killed

        with monkeypatch.context() as patched:
            patched.setattr(LastCheckpoint, "on_train_batch_end", hooked)
            with pytest.raises(Killed):
                main([*self.OPTIONS, "--out", str(folder)])
        last = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)
        assert (last["global_step"], last["ssseg"]["batches_seen"]) == (8, 16)
        assert main([*self.OPTIONS, "--out", str(folder)]) == 0
        assert_equal(whole, folder)

    def test_told_to_end_in_the_middle_of_a_step(self, whole, tmp_path, monkeypatch):
        """It finishes the step first."""
        from ssseg.training.module import SegmentationModule

        folder = tmp_path / "run"
        usual = SegmentationModule.training_step

        def tell(self, batch, batch_idx):
            if batch_idx == 14:
                os.kill(os.getpid(), signal.SIGTERM)
            return usual(self, batch, batch_idx)

        with monkeypatch.context() as patched:
            patched.setattr(SegmentationModule, "training_step", tell)
            with pytest.raises(SystemExit) as ended:
                main([*self.OPTIONS, "--out", str(folder)])
        assert ended.value.code == 143
        last = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)
        assert last["global_step"] == 8
        assert main([*self.OPTIONS, "--out", str(folder)]) == 0
        assert_equal(whole, folder)

    def test_a_validation_in_the_middle_of_a_step_is_refused(self, tmp_path, capsys):
        args = [*self.OPTIONS, "--trainer.val_check_interval", "5", "--out", str(tmp_path / "run")]
        assert main(args) == 2
        assert "val_check_interval is 5 batches, in the middle of" in capsys.readouterr().err


class TestFolders:
    """What `fit` makes of a folder that is not empty."""

    @pytest.fixture
    def unfinished(self, whole, tmp_path):
        """As if the run had been killed after its last checkpoint but before its summary."""
        folder = tmp_path / "run"
        shutil.copytree(whole, folder)
        (folder / "summary.json").unlink()
        options = (folder / "command.json").read_text().replace(str(whole), str(folder))
        (folder / "command.json").write_text(options)
        return folder

    def test_resume_knows_the_options(self, whole, unfinished, capsys):
        assert main(["fit", "--resume", str(unfinished)]) == 0
        assert_equal(whole, unfinished)

    def test_other_options_are_refused(self, unfinished, capsys):
        options = ["30" if o == str(STEPS) else o for o in OPTIONS]
        assert main([*options, "--out", str(unfinished)]) == 2
        said = capsys.readouterr().err
        assert "holds an unfinished run of other options ('28' there, '30' here)" in said
        assert f"ssseg fit --resume {unfinished}" in said

    def test_a_torn_checkpoint_is_passed_over(self, whole, unfinished):
        last = unfinished / "checkpoints" / "last.ckpt"
        last.write_bytes(last.read_bytes()[:1000])
        assert main(["fit", "--resume", str(unfinished)]) == 0
        assert_equal(whole, unfinished)

    def test_the_newest_of_those_that_can_be_read(self, whole, unfinished, monkeypatch):
        """Not the best one, where the one before the torn one is later than that."""
        from ssseg.training.resume import newest_checkpoint

        last, previous, best = (
            unfinished / "checkpoints" / f"{name}.ckpt" for name in ("last", "previous", "best")
        )
        saved = torch.load(last, weights_only=True)
        at = torch.load(best, weights_only=True)["global_step"]
        last.write_bytes(b"torn")
        for step, newest in ((at + 1, previous), (at - 1, best)):
            torch.save({**saved, "global_step": step}, previous)
            assert newest_checkpoint(unfinished) == newest

    def test_nothing_is_removed_where_no_checkpoint_can_be_read(self, unfinished, capsys):
        for name in ("last", "best"):
            (unfinished / "checkpoints" / f"{name}.ckpt").write_bytes(b"torn")
        assert main(["fit", "--resume", str(unfinished)]) == 2
        assert f"no checkpoint of {unfinished} can be read" in capsys.readouterr().err
        assert (unfinished / "metrics.csv").is_file()

    def test_the_last_checkpoint_by_that_name(self, whole, unfinished, capsys):
        again = ["--ckpt_path", "last"]
        assert main([*OPTIONS, *again]) == 2
        assert "option ckpt_path is last, of no folder" in capsys.readouterr().err
        assert main([*OPTIONS, *again, "--out", str(unfinished)]) == 0
        assert_equal(whole, unfinished)

    def test_a_run_that_never_saved_starts_anew(self, whole, unfinished):
        shutil.rmtree(unfinished / "checkpoints")
        assert main([*OPTIONS, "--out", str(unfinished)]) == 0
        assert_equal(whole, unfinished)

    def test_a_finished_run_is_not_touched(self, whole, capsys):
        before = (whole / "summary.json").read_bytes()
        assert main([*OPTIONS, "--out", str(whole)]) == 2
        assert "is not empty" in capsys.readouterr().err
        assert main(["fit", "--resume", str(whole)]) == 2
        assert "holds no unfinished run (it is finished)" in capsys.readouterr().err
        assert (whole / "summary.json").read_bytes() == before

    def test_a_folder_of_something_else(self, tmp_path, capsys):
        assert main(["fit", "--resume", str(tmp_path / "nowhere")]) == 2
        assert "holds no unfinished run" in capsys.readouterr().err

    def test_a_wrong_interval(self, tmp_path, capsys):
        args = [*OPTIONS[:-2], "--checkpoint_every", "0", "--out", str(tmp_path / "run")]
        assert main(args) == 2
        assert "checkpoint_every is 0; expected at least 1" in capsys.readouterr().err


VISIBLE = """
import os, sys, time
from pathlib import Path
from ssseg.cli.main import main
from ssseg.training.callbacks.progress import ProgressFile

mark = Path(sys.argv[1])

class Marked(ProgressFile):
    def on_validation_batch_start(self, *args):
        mark.touch()

    def on_validation_end(self, *args):
        mark.unlink(missing_ok=True)
        super().on_validation_end(*args)

import ssseg.training.defaults
ssseg.training.defaults.ProgressFile = Marked
os.fsync = lambda file: time.sleep(0.03)
sys.exit(main(sys.argv[2:]))
"""
"""`ssseg`, which shows to others that a validation is under way, on a slow disk."""


def killed_often(folder, options, kills, seed):
    """SIGKILL a run this many times, each time after a checkpoint of its own.

    In turn: at a random moment, as soon as a validation is under way, and as soon as a checkpoint
    is being written.
    """
    moments = random.Random(seed)
    last = folder / "checkpoints" / "last.ckpt"
    marks = [None, folder.with_name("validating"), last.with_name("last.ckpt.part")]
    environment = {**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())}
    hit = []
    while len(hit) < kills:
        mark = marks[len(hit) % 3]
        marks[1].unlink(missing_ok=True)
        before = last.stat().st_mtime_ns if last.is_file() else 0
        process = subprocess.Popen(
            [sys.executable, "-c", VISIBLE, str(marks[1]), *options, "--out", str(folder)],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # its workers die with it
        )
        ours = False
        try:
            while process.poll() is None:
                ours = ours or (last.is_file() and last.stat().st_mtime_ns != before)
                if ours and mark is None:
                    time.sleep(moments.uniform(0, 0.6))
                if ours and (mark is None or mark.exists()):
                    os.killpg(process.pid, signal.SIGKILL)
                    break
                time.sleep(0.0005)
        finally:
            process.kill()
            process.wait(60)
        assert process.returncode == -signal.SIGKILL, f"it ended by itself after {len(hit)} kills"
        hit.append([mark for mark in marks[1:] if mark.exists()])
    assert any(marks[1] in found for found in hit), "no validation was cut off"
    assert any(marks[2] in found for found in hit), "no write of a checkpoint was cut off"


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["0", "2"])
@pytest.mark.parametrize(
    "method",
    [
        ["supervised"],
        ["classmix", "--method.threshold", "0"],
        ["guidedmix"],
    ],
    ids=lambda args: args[0],
)
def test_killed_twenty_times_it_ends_as_if_left_alone(tmp_path, method, workers):
    options = [
        *("fit", "--method", *method, *OPTIONS[OPTIONS.index("--data") :]),
        *("--trainer.max_steps", "400", "--trainer.val_check_interval", "11"),
        *("--checkpoint_every", "3", "--data.num_workers", workers),
    ]
    whole, folder = tmp_path / "whole", tmp_path / "run"
    killed_often(folder, options, kills=20, seed=int(workers))
    assert main([*options, "--out", str(folder)]) == 0
    assert main([*options, "--out", str(whole)]) == 0
    assert_equal(whole, folder)
