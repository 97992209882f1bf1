"""BatchNorm over all devices: converted before DDP wraps the networks, and given back after."""

import copy
import os

import pytest
import torch
from pytorch_lightning import Callback
from timm.layers import BatchNormAct2d
from torch import distributed as dist
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.parallel import DistributedDataParallel

from ssseg.models import Segmenter
from ssseg.training.compute import Compute
from ssseg.training.sync_batchnorm import restore, synchronise
from tests.conftest import make_data, make_module, make_trainer


@pytest.fixture(autouse=True)
def alone():
    """Lightning leaves a process group and its address in the environment, for other tests too."""
    before = dict(os.environ)
    yield
    if dist.is_initialized():
        dist.destroy_process_group()
    os.environ.clear()
    os.environ.update(before)


def norms(module):
    return {n: m for n, m in module.named_modules() if isinstance(m, _BatchNorm)}


def network(encoder="test_resnet"):
    torch.manual_seed(0)
    return Segmenter(8, encoder=encoder, depth=3)


@pytest.mark.parametrize("encoder", ["test_resnet", "mobilenetv2_050"])
def test_a_converted_network_computes_the_same_and_comes_back(encoder):
    """mobilenetv2's layers hold their activations."""
    net = network(encoder)
    before = copy.deepcopy(net)
    kinds = {name: type(layer) for name, layer in norms(net).items()}
    if encoder == "mobilenetv2_050":
        assert BatchNormAct2d in kinds.values()
    parameters = dict(net.named_parameters())
    replaced = synchronise(net)
    assert set(norms(net)) == set(kinds)
    assert all(isinstance(layer, nn.SyncBatchNorm) for layer in norms(net).values())
    assert synchronise(net) == [], "converted twice"
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(1)
    ours = net.train()(images)
    torch.manual_seed(1)
    torch.testing.assert_close(ours, before.train()(images))
    trained = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    net.eval()
    restore(replaced)
    assert {name: type(layer) for name, layer in norms(net).items()} == kinds
    assert all(parameters[name] is p for name, p in net.named_parameters())
    for states in (net.state_dict(), before.state_dict()):
        assert list(states) == list(trained)
        for name, tensor in states.items():
            torch.testing.assert_close(tensor, trained[name])
    assert not any(layer.training for layer in norms(net).values())


def test_statistics_of_a_moved_network_come_back():
    """`to` makes new buffers: those of the layers that were put aside are old then."""
    net = nn.Sequential(nn.BatchNorm2d(2))
    replaced = synchronise(net)
    net.double()(torch.randn(4, 2, 3, 3).double())
    mean = net[0].running_mean.clone()
    restore(replaced)
    assert net[0].running_mean.dtype == torch.float64
    assert torch.equal(net[0].running_mean, mean)
    assert mean.abs().max() > 0


class Kinds(Callback):
    """The layers that DDP has wrapped, and those that are scored."""

    def __init__(self):
        self.wrapped = set()

    def on_train_start(self, trainer, module):
        self.wrapped = {type(layer) for layer in norms(trainer.strategy.model).values()}
        for name in ("student", "teacher"):
            assert norms(getattr(module.method, name)), name


@pytest.fixture
def on_cpu(monkeypatch):
    """A CPU stands for a GPU: PyTorch refuses the layers there."""
    monkeypatch.setattr(nn.SyncBatchNorm, "forward", nn.BatchNorm2d.forward)
    monkeypatch.setattr(DistributedDataParallel, "_passing_sync_batchnorm_handle", lambda *_: None)


def trained(tmp_path, asked, **options):
    module, kinds = make_module("classmix"), Kinds()
    module.compute = Compute(sync_batchnorm=asked)
    options = {"strategy": "ddp", "devices": 1, "callbacks": [kinds], **options}
    trainer = make_trainer(3, tmp_path, **options)
    trainer.fit(module, make_data())
    return module, trainer, kinds.wrapped


def test_ddp_itself_sees_synchronised_layers(tmp_path):
    """Fails when a release of Lightning calls `configure_model` later, or not at all."""
    with pytest.raises(ValueError, match="SyncBatchNorm layers only work with GPU modules"):
        trained(tmp_path, asked=True)


@pytest.mark.usefixtures("on_cpu")
def test_a_module_trains_with_them_and_without_them_afterwards(tmp_path):
    module, trainer, wrapped = trained(tmp_path, asked=True)
    assert wrapped == {nn.SyncBatchNorm}
    plain = {type(layer) for layer in norms(module).values()}
    assert plain
    assert not any(issubclass(kind, nn.SyncBatchNorm) for kind in plain)
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    ours = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    theirs, _, wrapped = trained(tmp_path, asked=False)
    assert wrapped == {nn.BatchNorm2d}
    for name, tensor in theirs.state_dict().items():
        torch.testing.assert_close(tensor, ours[name])
    again = make_module("classmix")  # a CPU goes on from it
    make_trainer(5, tmp_path).fit(again, make_data(), ckpt_path=tmp_path / "last.ckpt")


@pytest.mark.usefixtures("on_cpu")
def test_a_run_that_failed_leaves_nothing_behind_for_the_next(tmp_path):
    """Lightning tears nothing down after an exception."""

    class Fail(Callback):
        def on_train_batch_end(self, *args):
            raise RuntimeError("out of memory")

    module = make_module("classmix")
    module.compute = Compute(sync_batchnorm=True)
    options = {"strategy": "ddp", "devices": 1, "callbacks": [Fail()]}
    with pytest.raises(RuntimeError, match="out of memory"):
        make_trainer(3, tmp_path, **options).fit(module, make_data())
    make_trainer(3, tmp_path).fit(module, make_data())
    assert not any(isinstance(layer, nn.SyncBatchNorm) for layer in norms(module).values())
