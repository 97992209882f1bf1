from types import SimpleNamespace

import pytest
import torch
from torch.nn.modules.batchnorm import _BatchNorm

from ssseg.errors import UserError
from ssseg.methods import create_method
from ssseg.models import Segmenter
from ssseg.testing import tiny_network
from ssseg.training.batchnorm_rule import freeze_by_rule
from ssseg.training.module import SegmentationModule
from tests.conftest import make_data, make_trainer


def small(freeze_bn):
    return Segmenter(8, encoder="test_resnet", depth=3, freeze_bn=freeze_bn)


def method_on(name="classmix", pretrained=True, freeze_bn=None):
    network = small(freeze_bn)
    network.pretrained = pretrained
    hparams = {} if name == "supervised" else {"warmup_steps": 0, "threshold": 0.0}
    method = create_method(name, **hparams)
    method.setup(network)
    return method


def batches(labeled, unlabeled):
    return SimpleNamespace(batch_size=labeled, unlabeled_batch_size=unlabeled)


@pytest.mark.parametrize(
    ("labeled", "unlabeled", "devices", "name", "frozen"),
    [
        (4, 4, 1, "classmix", True),
        (16, 16, 1, "classmix", False),
        (16, 8, 1, "classmix", True),
        (16, 8, 1, "supervised", False),  # which sees no unlabeled image
        (32, 32, 4, "classmix", True),
        (64, 64, 4, "classmix", False),
    ],
)
def test_few_images_of_a_kind_on_a_device_freeze_it(labeled, unlabeled, devices, name, frozen):
    method = method_on(name)
    lines = freeze_by_rule(method, batches(labeled, unlabeled), devices)
    assert bool(lines) == frozen
    assert method.student.independent == frozen
    assert method.student.hparams["freeze_bn"] is frozen


def test_networks_from_random_weights_and_given_options_do_not_change():
    for method in (method_on(pretrained=False), method_on(freeze_bn=False)):
        assert freeze_by_rule(method, batches(2, 2), 1) == []
        assert not method.student.freeze_bn
    encoder = method_on(freeze_bn="encoder")
    assert freeze_by_rule(encoder, batches(2, 2), 1) == []
    assert encoder.student.freeze_bn == "encoder"


def test_the_encoder_alone_can_be_frozen():
    network = small("encoder").train()
    modes = {
        half: {m.training for m in getattr(network, half).modules() if isinstance(m, _BatchNorm)}
        for half in ("encoder", "decoder")
    }
    assert modes == {"encoder": {False}, "decoder": {True}}
    assert not network.independent


@pytest.mark.parametrize("name", ["classmix", "guidedmix", "guidedmix_released", "corrmatch"])
def test_a_frozen_run_keeps_its_statistics_in_student_and_teacher(name, tmp_path):
    torch.manual_seed(0)
    network = tiny_network(8)
    network.pretrained = True
    method = create_method(name, warmup_steps=0)
    module = SegmentationModule(method, network, seed=0)
    before = {k: v.clone() for k, v in module.state_dict().items() if "running_" in k}
    assert before
    make_trainer(3, tmp_path).fit(module, datamodule=make_data())
    after = module.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert sum("BatchNorm  frozen" in line for line in module.notes) == 1


def fresh():
    torch.manual_seed(0)
    network = tiny_network(8)
    network.pretrained = True
    return SegmentationModule(create_method("classmix"), network, seed=0)


def test_a_frozen_run_is_resumed(tmp_path):
    trainer = make_trainer(2, tmp_path)
    trainer.fit(fresh(), datamodule=make_data())
    trainer.save_checkpoint(tmp_path / "two.ckpt")
    again = fresh()
    make_trainer(4, tmp_path).fit(again, datamodule=make_data(), ckpt_path=tmp_path / "two.ckpt")
    assert again.method.student.freeze_bn is True
    loaded = SegmentationModule.load_from_checkpoint(tmp_path / "two.ckpt")
    assert loaded.method.student.freeze_bn is True


def test_a_frozen_run_is_scored_again(tmp_path):
    """No rule is asked then: there are no training batches."""
    trainer, module = make_trainer(2, tmp_path), fresh()
    trainer.fit(module, datamodule=make_data())
    trainer.save_checkpoint(tmp_path / "two.ckpt")
    make_trainer(2, tmp_path).validate(module, datamodule=make_data())
    again = fresh()
    path = tmp_path / "two.ckpt"
    make_trainer(2, tmp_path).validate(again, datamodule=make_data(), ckpt_path=path)
    assert again.method.student.freeze_bn is True
    assert again.scores["teacher"].miou == module.scores["teacher"].miou


def test_a_checkpoint_decides_nothing_that_an_option_says(tmp_path):
    trainer = make_trainer(1, tmp_path)
    trainer.fit(fresh(), datamodule=make_data())
    trainer.save_checkpoint(tmp_path / "one.ckpt")
    network = tiny_network(8)
    network.freeze_bn_by_rule = False
    module = SegmentationModule(create_method("classmix"), network, seed=0)
    with pytest.raises(UserError, match="freeze_bn = True, but this run's has False"):
        make_trainer(1, tmp_path).validate(
            module, datamodule=make_data(), ckpt_path=tmp_path / "one.ckpt"
        )
