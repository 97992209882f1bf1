"""Every option of Lightning's Trainer: it works with what the documents promise, or is refused."""

import logging
import re
from datetime import timedelta
from inspect import signature
from pathlib import Path
from types import SimpleNamespace

import pytest
import pytorch_lightning as pl
import torch
import wandb
from jsonargparse import Namespace

import ssseg
from ssseg.cli import lightning_cli as options
from ssseg.cli.aliases import expand_aliases
from ssseg.cli.main import main
from ssseg.cli.preflight import preflight
from ssseg.errors import UserError
from ssseg.runs.quiet import quiet
from ssseg.training.callbacks.checkpoint import LastCheckpoint
from ssseg.training.callbacks.final_validation import EvaluateLast
from ssseg.training.callbacks.run_folder import RunFolder
from ssseg.training.option_values import seconds_of
from ssseg.training.trainer_options import RULES, refuse
from tests.conftest import make_data, make_module, make_trainer

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "trainer.md"


OURS = {"max_steps": 800, "max_epochs": -1, "check_val_every_n_epoch": None} | {
    "num_sanity_val_steps": 0,
    "log_every_n_steps": 10,
    "enable_model_summary": False,
    "use_distributed_sampler": False,
}


DEFAULTS = {name: p.default for name, p in signature(pl.Trainer).parameters.items()} | OURS


CASES = {
    "accelerator": (["auto", "cpu"], ["quantum", "tpu"]),
    "strategy": (
        [
            "auto",
            "ddp",
            "ddp_fork_find_unused_parameters_true",
            Namespace(class_path="DDPStrategy"),
        ],
        ["ddp_spawn", "fsdp", "deepspeed", Namespace(class_path="FSDPStrategy")],
    ),
    "devices": (["auto", 2, "-1", [0]], [0, "0", []]),
    "num_nodes": ([2], [0]),
    "precision": (
        [None, 32, "16", 16, "bf16", "bf16-mixed", "16-mixed", 64, "64-true"],
        ["16-true", "bf16-true", "transformer-engine", "8"],
    ),
    "logger": ([None, Namespace(class_path="CSVLogger")], [True, False]),
    "callbacks": ([None, [Namespace(class_path="EarlyStopping")]], []),
    "fast_dev_run": ([False], [True, 3]),
    "max_epochs": ([None, -1], [2, 0]),
    "min_epochs": ([None], [2]),
    "max_steps": ([1, 800], [0, -1]),
    "min_steps": ([None, 3], [-1, 801]),
    "max_time": ([None, "00:00:00:03", {"hours": 2}], ["foo", "1:00", "00:00:00:00", {"years": 1}]),
    "limit_train_batches": ([None, 1.0], [2, 0.5, 0]),
    "limit_val_batches": ([None, 1.0, 0], [1, 0.5, 1.5]),
    "limit_test_batches": ([None, 1.0], [3]),
    "limit_predict_batches": ([None, 1.0], [3]),
    "overfit_batches": ([0.0], [1, 0.5]),
    "val_check_interval": (
        [None, 1, 100000, "00:00:10:00", timedelta(minutes=1), {"minutes": 5}],
        [0, -3, 0.25, 1.0, "often", "00:00:00:00"],
    ),
    "check_val_every_n_epoch": ([None], [1, 2]),
    "num_sanity_val_steps": ([0, 2, -1], [-2]),
    "log_every_n_steps": ([1, 10], [0]),
    "enable_checkpointing": ([None, True], [False]),
    "enable_progress_bar": ([None, True, False], []),
    "enable_model_summary": ([True, False], []),
    "accumulate_grad_batches": ([1, 4], [0, -2]),
    "gradient_clip_val": ([None, 0, 1.5], [-1.0]),
    "gradient_clip_algorithm": ([None], ["norm", "foo"]),
    "deterministic": ([None, True, "warn"], []),
    "benchmark": ([None, True], []),
    "inference_mode": ([True, False], []),
    "use_distributed_sampler": ([False], [True]),
    "profiler": ([None, "simple", "advanced", "pytorch"], ["foo", "xla"]),
    "detect_anomaly": ([True], []),
    "barebones": ([False], [True]),
    "plugins": ([None, [Namespace(class_path="TorchCheckpointIO")]], ["foo"]),
    "sync_batchnorm": ([False], [True]),
    "reload_dataloaders_every_n_epochs": ([0], [1]),
    "default_root_dir": ([None, "here"], []),
    "enable_autolog_hparams": ([True, False], []),
    "model_registry": ([None], ["mine"]),
}


TINY = [
    *("--data.train_images", "24", "--data.val_images", "4", "--data.size", "32"),
    *("--data.labeled", "8", "--data.batch_size", "4", "--trainer.accelerator", "cpu"),
    *("--method", "mean_teacher", "--network", "small"),
]


def complaint(name, value):
    try:
        refuse({**DEFAULTS, name: value})
    except UserError as error:
        return str(error)
    return None


def table():
    """What happens with every option, as the rules answer."""
    lines = ["| option | what it does | refused |", "|---|---|---|"]
    for name, (_, refused) in CASES.items():
        said = complaint(name, refused[0]) if refused else "nothing"
        lines.append(f"| `{name}` | {RULES[name].does} | {said} |")
    return "\n".join(lines) + "\n"


def fit(*args, steps=3):
    return main(["fit", *TINY, "--trainer.max_steps", str(steps), *args])


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty folder to be in; runs draw no pictures, which take longer than their steps."""
    monkeypatch.chdir(tmp_path)
    for drawing in ("_draw", "_write_tiles"):
        monkeypatch.setattr(RunFolder, drawing, lambda *_: None)
    return tmp_path


def test_every_option_of_the_trainer_is_thought_of():
    assert set(RULES) == set(CASES) == set(signature(pl.Trainer).parameters)


def test_the_page_has_the_table():
    """`python -m tests.training.test_trainer_options` writes it."""
    assert table() in PAGE.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", CASES)
def test_values_work_or_are_refused_in_one_sentence(name):
    works, refused = CASES[name]
    for value in works:
        assert complaint(name, value) is None, value
    for value in refused:
        said = complaint(name, value)
        assert said is not None, value
        assert said.startswith(f"option trainer.{name} is ")
        assert re.search(r"; (give|leave|validate|lower|upload)|expected", said), (
            "it says no way out"
        )
        assert "\n" not in said


def test_options_that_only_work_together():
    fine = {"gradient_clip_val": 1.0, "gradient_clip_algorithm": "value"}
    refuse({**DEFAULTS, **fine})
    refuse({**DEFAULTS, "val_check_interval": 6, "accumulate_grad_batches": 3})
    with pytest.raises(UserError, match="7 batches, in the middle of an optimiser step of 3"):
        refuse({**DEFAULTS, "val_check_interval": 7, "accumulate_grad_batches": 3})


LIGHTNING_REFUSES = [
    (["--trainer.devices", "[0,1]"], "should be an int > 0"),
    (["--trainer.accelerator", "gpu"], "is 'gpu', but PyTorch finds none on this machine"),
    (["--trainer.precision", "16-mixed"], "16-mixed, which a CPU cannot do; give bf16-mixed"),
    (["--trainer.max_epochs", "2"], "trainer.max_epochs is 2, but training is counted in steps"),
    (["--trainer.val_check_interval", "0.25"], "is 0.25, a share of an epoch"),
    (
        ["--trainer.callbacks+=EarlyStopping", "--trainer.callbacks.monitor=val_loss"],
        "EarlyStopping watches 'val_loss', which is not logged; expected one of val/miou",
    ),
    (["--trainer.callbacks+=RichProgressBar"], "RichProgressBar cannot be used here"),
    (
        [
            *("--trainer.plugins", "pytorch_lightning.plugins.HalfPrecision"),
            *("--trainer.precision", "bf16-mixed"),
        ],
        "Choose one",
    ),
]


@pytest.mark.parametrize(("args", "said"), LIGHTNING_REFUSES, ids=lambda value: str(value)[:40])
def test_what_lightning_refuses_is_one_sentence_and_leaves_nothing(here, capfd, args, said):
    if "gpu" in args and torch.cuda.is_available():
        pytest.skip("there is a GPU")
    assert fit(*args) == 2
    out, err = capfd.readouterr()
    (line,) = (out + err).splitlines()
    assert line.startswith("ssseg: error: ")
    assert said in line
    assert not list(here.iterdir())


def test_what_is_not_refused_works_in_a_run(here, capfd):
    """Many options at once, each seen to have done what the table says."""
    callbacks = ["--trainer.callbacks+=LearningRateMonitor"]
    callbacks += ["--trainer.callbacks+=ModelCheckpoint"]
    callbacks += ["--trainer.callbacks.every_n_train_steps=2", "--trainer.callbacks.save_top_k=-1"]
    stop = ["--trainer.callbacks+=EarlyStopping", "--trainer.callbacks.monitor=val/miou"]
    stop += ["--trainer.callbacks.patience=0", "--trainer.callbacks.min_delta=2"]
    switches = {
        **{"enable_model_summary": "true", "detect_anomaly": "true", "benchmark": "false"},
        **{"inference_mode": "false", "deterministic": "true", "profiler": "simple"},
        **{"num_sanity_val_steps": "1", "log_every_n_steps": "1", "val_check_interval": "1"},
        **{"gradient_clip_val": "1", "gradient_clip_algorithm": "value", "min_steps": "4"},
        **{"max_time": "01:00:00:00", "default_root_dir": "roots"},
        "logger": '{"class_path": "CSVLogger", "init_args": {"save_dir": "more"}}',
    }
    flags = [part for name, value in switches.items() for part in (f"--trainer.{name}", value)]
    try:
        assert fit(*flags, *callbacks, *stop, "--out", "run", steps=9) == 0
    finally:
        torch.use_deterministic_algorithms(False)
    out, err = capfd.readouterr()
    run = ssseg.Run(here / "run")
    assert [row["step"] for row in run.history] == [1, 2, 3, 4], "sanity, or no stop at min_steps"
    assert run.summary["steps"] == 4
    assert any(name.startswith("lr-") for row in run.metrics for name in row)
    assert (here / "run" / "checkpoints" / "epoch=0-step=2.ckpt").is_file()
    assert list((here / "more").rglob("metrics.csv"))
    assert "MeanTeacher" in out  # the model's summary
    assert "Total length" not in out + err


def test_a_profile_is_printed():
    told = []
    handler = logging.Handler()
    handler.emit = lambda record: told.append(record.getMessage())
    logger = logging.getLogger("pytorch_lightning")
    logger.addHandler(handler)
    profiler = pl.profilers.SimpleProfiler()
    profiler.setup("fit", 0)
    try:
        with quiet():
            with profiler.profile("thinking"):
                pass
            profiler.describe()
    finally:
        logger.removeHandler(handler)
    assert "thinking" in told[0]


@pytest.fixture
def written(monkeypatch):
    """Steps after which the Saver has saved."""
    steps, save = [], LastCheckpoint.save

    def note(self, trainer):
        steps.append(trainer.global_step)
        save(self, trainer)

    monkeypatch.setattr(LastCheckpoint, "save", note)
    return steps


def test_without_validation_nothing_is_scored_and_checkpoints_are_kept(here, capfd, written):
    args = ["--trainer.limit_val_batches", "0", "--trainer.val_check_interval", "1"]
    assert fit(*args, "--checkpoint_every", "2", "--out", "run", steps=3) == 0
    assert "no validation: there will be no scores, and no best" in capfd.readouterr().out
    assert written == [2, 3]
    assert not (here / "run" / "checkpoints" / "best.ckpt").exists()
    # the run's configuration does not keep others from scoring it
    assert main(["validate", "--ckpt_path", "run/checkpoints/last.ckpt", "--page", "false"]) == 0
    assert "student: mIoU" in capfd.readouterr().out
    with pytest.raises(UserError, match="runs are compared by their scores"):
        preflight(["fit", *TINY, *args])


def test_a_rehearsal_leaves_callbacks_out_that_would_leave_a_trace(here):
    args = ["--trainer.callbacks+=ModelCheckpoint", "--trainer.callbacks.every_n_train_steps=2"]
    assert preflight(["fit", *TINY, *args])["config"]["trainer"]["callbacks"]
    assert not list(here.iterdir())


class TestTime:
    """Validations by the clock."""

    @pytest.mark.parametrize(
        ("every", "validated", "saved"),
        [("01:00:00:00", [4], [2]), ('{"microseconds": 1}', [1, 2, 3, 4], [])],
        ids=["never", "always"],
    )
    def test_the_last_step_is_validated_and_checkpoints_are_written(
        self, here, capfd, written, every, validated, saved
    ):
        """With accumulated batches none is due in the middle of a step."""
        args = ["--trainer.val_check_interval", every, "--checkpoint_every", "2"]
        args += ["--trainer.accumulate_grad_batches", "2"]
        assert fit(*args, "--out", "run", steps=4) == 0
        assert [row["step"] for row in ssseg.Run(here / "run").history] == validated
        assert written == [*saved, 4]
        out = capfd.readouterr().out
        assert re.search(r"validation 4 images by .*, every .* and after the last step", out)

    def test_the_step_at_which_the_time_is_over_is_validated(self, here):
        args = ["--trainer.val_check_interval", "01:00:00:00", "--trainer.max_time", "00:00:00:01"]
        assert fit(*args, "--out", "run", steps=100000) == 0
        run = ssseg.Run(here / "run")
        assert run.summary["ended_early"]["by"] == "trainer.max_time"
        assert [row["step"] for row in run.history] == [run.summary["steps"]]

    def test_one_device_decides_for_all(self):
        def decide(said):
            seen = []
            strategy = SimpleNamespace(broadcast=lambda own: seen.append(own) or said)
            trainer = SimpleNamespace(
                strategy=strategy,
                max_steps=9,
                global_step=0,
                limit_val_batches=1.0,
                should_stop=False,
            )
            last = EvaluateLast(3600.0)
            last.on_train_start(trainer, None)
            last.on_train_batch_start(trainer, None, None, 0)
            trainer.global_step = 1
            last.on_train_batch_end(trainer, None, None, None, 0)
            assert len(seen) == 1
            return trainer.limit_val_batches

        assert decide(True) == 1.0
        assert decide(False) == 0

    def test_a_time_is_no_number_to_the_base_of_60(self):
        flag = "--trainer.val_check_interval"
        out = expand_aliases(["--method", "supervised", flag, "10:00:00:00"])
        assert out[out.index(flag) + 1] == "010:00:00:00"
        assert seconds_of("010:00:00:00") == 10 * 24 * 3600
        assert seconds_of("00:01:30:05") == seconds_of({"seconds": 5405}) == 5405
        assert seconds_of("1:30:05") is seconds_of(7) is seconds_of(None) is None


@pytest.mark.parametrize(("batch", "steps"), [(1, 1), (2, 1), (3, 2)])
def test_a_run_that_is_told_to_stop_finishes_its_step(tmp_path, batch, steps):
    class Stop(pl.Callback):
        def on_train_batch_end(self, trainer, module, outputs, data, batch_idx):
            if module.batches_seen == batch:
                trainer.should_stop = True

    module = make_module("supervised")
    trainer = make_trainer(5, tmp_path, accumulate_grad_batches=2, callbacks=[Stop()])
    trainer.fit(module, make_data())
    assert (trainer.global_step, module.batches_seen) == (steps, 2 * steps)


def test_wandb_makes_its_folder_when_all_processes_have_met(here, monkeypatch):
    """Processes that start later would see it and choose another name."""
    # wandb would keep the mode "disabled" for the rest of this process
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    (logger,) = options.default_loggers("wandb", here / "runs" / "a")
    assert not list(here.iterdir())
    assert logger.experiment is not None
    assert (here / "runs" / "a").is_dir()
    wandb.finish()


if __name__ == "__main__":
    text = PAGE.read_text(encoding="utf-8")
    first = text.index("| option |")
    rest = text[first:].partition("\n\n")[2]
    PAGE.write_text(text[:first] + table() + (f"\n{rest}" if rest else ""), encoding="utf-8")
