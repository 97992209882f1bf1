"""A step that is timed is the step that trains."""

import pytest
import torch
from pytorch_lightning import Callback

from ssseg.training.optimizer import OptimizerConfig
from ssseg.training.step_timer import StepTimer
from tests.conftest import make_data, make_module, make_trainer, recorded_terms

SGD = OptimizerConfig(name="sgd", lr=0.1)


@pytest.mark.parametrize("name", ["supervised", "classmix"])
@pytest.mark.parametrize(
    "trainer",
    [{}, {"gradient_clip_val": 0.01}, {"precision": "bf16-mixed"}, {"precision": "64-true"}],
    ids=str,
)
def test_weights_are_the_same_to_the_bit(tmp_path, name, trainer):
    eager = {} if name == "supervised" else {"warmup_steps": 0}
    start = make_module(name, **eager).state_dict()
    trained, timed = (make_module(name, optim=SGD, **eager) for _ in range(2))
    make_trainer(1, tmp_path, **trainer).fit(trained, make_data())
    timer = StepTimer(make_trainer(1, tmp_path, **trainer), timed, make_data())
    assert timer.step(timer.batches(), 0) > 0
    theirs = timed.method.state_dict()
    for key, tensor in trained.method.state_dict().items():
        assert torch.equal(tensor, theirs[key]), key
    assert any(not torch.equal(start[f"method.{key}"].to(t), t) for key, t in theirs.items())


def test_it_logs_nothing_and_takes_any_place_in_the_run(tmp_path):
    seen = []

    class Watch(Callback):
        def on_before_optimizer_step(self, trainer, module, optimizer):
            seen.append(trainer.global_step)

    module = make_module("classmix", warmup_steps=5)
    terms = recorded_terms(module)
    trainer = make_trainer(10, tmp_path, callbacks=[Watch()], log_every_n_steps=1)
    timer = StepTimer(trainer, module, make_data())
    batches = timer.batches()
    timer.step(batches, 0)
    timer.step(batches, 9)
    assert terms == [["sup"], ["sup", "unsup"]]
    assert len(seen) == 2, "callbacks of the run see the gradients"
