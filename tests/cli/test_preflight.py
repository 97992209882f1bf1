"""What is said of a run before it trains is what it then is."""

import json
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch
import yaml

import ssseg
from ssseg.cli import preflight as module
from ssseg.cli.preflight import forecasts, preflight
from ssseg.errors import UserError
from ssseg.training.step_timer import StepTimer
from tests.data.trees import draw_tree

TINY = [
    *("--data.train_images", "24", "--data.val_images", "4", "--data.size", "32"),
    *("--data.labeled", "8", "--data.batch_size", "4", "--trainer.accelerator", "cpu"),
]


def fit(*args):
    return ["fit", "--method", "classmix", *TINY, *args]


def test_configuration_and_hash_are_those_of_the_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = preflight(fit("--data", "street", "--trainer.max_steps", "2", "--out", "run"))
    assert not list(tmp_path.iterdir()), "it left a trace"
    run = ssseg.fit(
        "classmix",
        out="run",
        max_steps=2,
        trainer={"accelerator": "cpu"},
        train_images=24,
        val_images=4,
        size=32,
        labeled=8,
        batch_size=4,
    )
    config = yaml.safe_load((run.folder / "config.yaml").read_text())
    assert {**config, "out": None} == said["config"]
    assert run.summary["config_hash"] == said["config_hash"]
    assert run.summary["data"]["split_hash"] == said["split_hash"]
    saved = torch.load(run.checkpoint(), weights_only=True)["state_dict"]
    student = {n: t for n, t in saved.items() if n.startswith("method.student.")}
    weights = [t for n, t in student.items() if "running_" not in n and "num_batches" not in n]
    assert said["parameters"] == sum(t.numel() for t in weights)
    assert said["seconds"] is None


def test_the_hash_is_of_every_option_and_not_of_the_seed():
    first = preflight(fit())["config_hash"]
    assert preflight(fit("--seed_everything", "5", "--out", "x"))["config_hash"] == first
    assert preflight(fit("--optim.lr", "0.5"))["config_hash"] != first
    assert preflight(fit("--data.flip", "false"))["config_hash"] != first


def test_measured_seconds_are_of_the_steps_and_validations(monkeypatch):
    monkeypatch.setattr(StepTimer, "step", lambda *_: 0.5)
    monkeypatch.setattr(StepTimer, "validation", lambda *_: 7.0)
    more = ("--trainer.max_steps", "100", "--trainer.val_check_interval", "30")
    assert preflight(fit(*more), measure=True)["seconds"] == 100 * 0.5 + 4 * 7.0
    two = ("--trainer.accumulate_grad_batches", "2")  # 200 batches, a validation after every 30
    assert preflight(fit(*more, *two), measure=True)["seconds"] == 200 * 0.5 + 7 * 7.0


def test_a_slow_step_is_not_timed_again(monkeypatch):
    steps = []
    monkeypatch.setattr(StepTimer, "step", lambda *args: steps.append(args) or 30.0)
    monkeypatch.setattr(StepTimer, "validation", lambda *_: 0.0)
    assert preflight(fit("--trainer.max_steps", "10"), measure=True)["seconds"] == 300
    assert len(steps) == 2


def test_steps_that_scatter_give_a_range(monkeypatch):
    seconds = iter([9.0, 0.5, 0.4, 0.6, 0.6, 0.4, 0.4, 0.6])  # the first one is a warm-up
    monkeypatch.setattr(StepTimer, "step", lambda *_: next(seconds))
    monkeypatch.setattr(StepTimer, "validation", lambda *_: 1.0)
    more = ("--trainer.max_steps", "100", "--trainer.val_check_interval", "50")
    said = preflight(fit(*more), measure=True)
    assert said["between"] == pytest.approx([2 + 42.5, 2 + 57.5])
    assert said["seconds"] == pytest.approx(2 + 52.5)


def test_all_runs_together_are_timed_within_a_budget(monkeypatch):
    clock = SimpleNamespace(now=0.0)

    def slow(*_):
        clock.now += 0.3
        return 0.3

    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: clock.now))
    monkeypatch.setattr(module, "BUDGET", 0.5)
    monkeypatch.setattr(StepTimer, "step", slow)
    monkeypatch.setattr(StepTimer, "validation", lambda *_: 0.0)
    runs = [fit("--trainer.max_steps", "10", "--optim.lr", lr) for lr in ("1", "2", "3", "4")]
    answers = list(module.forecasts({"runs": runs, "measure": True, "at_once": 1}))
    assert [answer["seconds"] for answer in answers] == [
        pytest.approx(3),
        pytest.approx(3),
        None,
        None,
    ]
    assert [answer["between"] is None for answer in answers] == [False, False, True, True]
    assert all(answer["parameters"] for answer in answers), "they are still checked"


def test_steps_are_timed_early_and_late(monkeypatch):
    """A method that starts with a supervised warm-up is slower after it."""
    seen = []
    losses = ssseg.methods.ClassMix.losses

    def watch(self, batch, step):
        seen.append(step.fraction)
        return losses(self, batch, step)

    monkeypatch.setattr(ssseg.methods.ClassMix, "losses", watch)
    assert preflight(fit("--trainer.max_steps", "100"), measure=True)["seconds"] > 0
    assert [round(share, 2) for share in seen[::2]] == [0.0, 0.35, 0.64, 0.99]


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--data.batch_size", "300"], "option data.batch_size is 300, but there are only 8"),
        (["--data.labeled", "9/8"], "9/8"),
        (["--method.threshold", "high"], "option method.threshold is 'high'"),
        (["--data.val_images", "0"], "has no validation images"),
        (["--network", "fpm"], "did you mean 'fpn'"),
    ],
)
def test_what_cannot_work_is_said(args, said):
    (answer,) = forecasts({"runs": [fit(*args)], "measure": False, "at_once": 1})
    assert said in answer["error"]
    assert "\n" not in answer["error"]


def test_more_memory_than_there_is(monkeypatch):
    whole = preflight(fit())["memory"]
    assert whole > 1e6
    monkeypatch.setattr("ssseg.training.memory.machine_memory", lambda: int(1.5 * whole))
    assert preflight(fit(), at_once=1)["memory"] == whole
    assert preflight(fit(), at_once=0)["memory"] == whole, "it trains on another machine"
    with pytest.raises(UserError, match=r"for each of 2 runs at once.*, or --jobs"):
        preflight(fit(), at_once=2)
    monkeypatch.setattr("ssseg.training.memory.machine_memory", lambda: whole // 2)
    with pytest.raises(UserError, match=r"a step needs at least .* GB, but there are") as error:
        preflight(fit(), at_once=1)
    assert "--jobs" not in str(error.value)


def test_masks_of_unlabeled_images_are_not_needed(tmp_path):
    root = draw_tree(tmp_path)
    args = ["--data", "folder", "--data.root", str(root), "--data.labeled", "2"]
    args += ["--data.batch_size", "2", "--data.num_workers", "0"]
    args += ["--network.weights", "random"]
    assert preflight(["fit", "--method", "classmix", *args])["split_hash"]


def test_the_process_answers_in_the_order_of_the_questions(tmp_path):
    request = {
        "runs": [fit(), fit("--data.batch_size", "300"), fit("--optim.lr", "0.1")],
        "measure": False,
        "at_once": 1,
        "answers": str(tmp_path / "answers"),
    }
    command = [sys.executable, "-m", "ssseg.cli.look_ahead", str(os.getpid())]
    done = subprocess.run(command, input=json.dumps(request), text=True, check=False)
    assert done.returncode == 0
    head, *answers = map(json.loads, (tmp_path / "answers").read_text().splitlines())
    assert head["gpus"] == torch.cuda.device_count()
    assert ["error" in answer for answer in answers] == [False, True, False]
    assert answers[2]["config"]["model"]["optim"]["lr"] == 0.1
