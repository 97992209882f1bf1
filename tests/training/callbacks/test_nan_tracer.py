"""Where numbers end is named: the layer, or the gradient on its way back."""

import pytest
import torch

from ssseg.training.callbacks.nan_tracer import NanTracer, NonFiniteFound
from tests.conftest import make_data, make_module, make_trainer


def traced(module, folder, steps=2):
    make_trainer(steps, folder, callbacks=[NanTracer()]).fit(module, make_data(num_views=0))


def test_a_healthy_run_goes_through(tmp_path):
    module = make_module("supervised")
    traced(module, tmp_path)
    assert module.trainer.global_step == 2


def test_the_first_layer_with_a_weight_that_is_no_number_is_named(tmp_path):
    module = make_module("supervised")
    with torch.no_grad():
        module.method.student.encoder.model.layer1[0].conv1.weight[0, 0] = torch.nan
    with pytest.raises(NonFiniteFound) as caught:
        traced(module, tmp_path)
    first, *_ = caught.value.lines
    assert first.startswith("the output of student.encoder.model.layer1.0.conv1 (Conv2d)")
    assert first.endswith("is not finite, and so is one of its weights")
    assert caught.value.step == 1
    assert "losses: sup nan" in caught.value.lines


def test_a_gradient_that_is_lost_on_the_way_back_is_named(tmp_path):
    module = make_module("supervised")
    parameter = module.method.student.encoder.model.conv1[0].weight
    parameter.register_hook(lambda gradient: gradient * torch.inf)
    with pytest.raises(NonFiniteFound) as caught:
        traced(module, tmp_path)
    *_, losses, lost = caught.value.lines
    assert losses.startswith("losses: sup ")
    assert "nan" not in losses
    assert "all losses are finite; the gradient of method.student.encoder" in lost
