import pytest
import torch

from ssseg.methods import create_method
from ssseg.models import Segmenter
from ssseg.testing import tiny_network
from ssseg.training.optimizer import OptimizerConfig, create_optimizer, parameter_groups


def owned(method, optim):
    return {group["name"]: group for group in parameter_groups(method, optim)}


def test_every_trainable_parameter_is_in_exactly_one_group():
    method = create_method("classmix")
    method.setup(tiny_network())
    groups = owned(method, OptimizerConfig())
    encoder = {id(p) for p in method.student.encoder.parameters()}
    assert {id(p) for p in groups["encoder"]["params"]} == encoder
    everything = [id(p) for group in groups.values() for p in group["params"]]
    assert sorted(everything) == sorted(id(p) for p in method.student.parameters())


def test_random_encoders_learn_at_full_rate_and_pretrained_ones_at_a_tenth():
    method = create_method("supervised")
    network = tiny_network()
    method.setup(network)
    assert owned(method, OptimizerConfig(lr=1e-2))["encoder"]["lr"] == 1e-2
    network.pretrained = True
    assert owned(method, OptimizerConfig(lr=1e-2))["encoder"]["lr"] == pytest.approx(1e-3)
    assert owned(method, OptimizerConfig(lr=1e-2))["rest"]["lr"] == 1e-2
    assert owned(method, OptimizerConfig(lr=1e-2, encoder_lr_scale=0.5))["encoder"]["lr"] == 5e-3


def test_a_second_network_falls_into_the_right_groups():
    """Groups go by type: a peer's encoder is an encoder, an extra decoder is not."""
    method = create_method("supervised")
    method.setup(tiny_network())
    method.peer = method.student.new()
    method.extra = method.student.new_decoder()
    groups = owned(method, OptimizerConfig())
    inside = {id(p) for p in groups["encoder"]["params"]}
    assert all(id(p) in inside for p in method.peer.encoder.parameters())
    assert not any(id(p) in inside for p in method.extra.parameters())


def test_a_part_has_a_group_and_a_rate_of_its_own():
    """Also a part with an encoder; a frozen parameter is in no group."""
    method = create_method("supervised")
    method.parts = {"critic": 0.1, "peer": 2.0}
    method.setup(tiny_network())
    method.peer = method.student.new()
    method.critic = torch.nn.Linear(2, 1)
    method.critic.bias.requires_grad_(False)
    groups = owned(method, OptimizerConfig(lr=1e-2))
    assert {name: group["lr"] for name, group in groups.items()} == pytest.approx(
        {"encoder": 1e-2, "critic": 1e-3, "peer": 2e-2, "rest": 1e-2}
    )
    assert [id(p) for p in groups["critic"]["params"]] == [id(method.critic.weight)]
    assert {id(p) for p in groups["peer"]["params"]} == {id(p) for p in method.peer.parameters()}
    decoder = {id(p) for p in method.student.decoder.parameters()}
    assert {id(p) for p in groups["rest"]["params"]} == decoder


@pytest.mark.parametrize("name", ["adamw", "sgd"])
def test_the_rate_falls_as_the_polynomial_says(name):
    method = create_method("supervised")
    method.setup(Segmenter(2, encoder="test_resnet", depth=3))
    optimizer, schedule = create_optimizer(
        method, OptimizerConfig(name=name, lr=0.1, power=0.9), 10
    )
    rates = []
    for _ in range(10):
        rates.append(optimizer.param_groups[-1]["lr"])
        optimizer.step()
        schedule.step()
    assert rates == pytest.approx([0.1 * (1 - t / 10) ** 0.9 for t in range(10)])
    assert isinstance(optimizer, torch.optim.SGD if name == "sgd" else torch.optim.AdamW)
