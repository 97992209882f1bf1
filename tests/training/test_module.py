import copy
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from pytorch_lightning import Callback

from ssseg.errors import UserError
from ssseg.methods import METHODS
from ssseg.models import Segmenter
from ssseg.training.compute import Compute
from ssseg.training.optimizer import OptimizerConfig
from tests.conftest import make_data, make_module, make_trainer, recorded_terms


class SaveAtThree(Callback):
    """An interruption in the middle of a run."""

    def __init__(self, path):
        self.path = path

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        if trainer.global_step == 3:
            trainer.save_checkpoint(self.path)
            trainer.should_stop = True


def trained(folder, steps=6, name="classmix", data=None, **trainer_options):
    module = make_module(name)
    make_trainer(steps, folder, **trainer_options).fit(module, data or make_data())
    return module


def assert_same_state(ours, theirs):
    for name, tensor in ours.state_dict().items():
        assert torch.equal(tensor, theirs.state_dict()[name]), name


def test_the_number_of_workers_changes_nothing(tmp_path):
    weights = [trained(tmp_path, data=make_data(num_workers=n)) for n in (0, 1, 2)]
    assert_same_state(weights[0], weights[1])
    assert_same_state(weights[0], weights[2])


def test_another_seed_gives_other_weights(tmp_path):
    first, second = make_module(seed=0), make_module(seed=0)
    second.seed = 1
    for module in (first, second):
        make_trainer(5, tmp_path).fit(module, make_data())
    ours, theirs = first.method.student, second.method.student
    assert any(
        not torch.equal(a, b) for a, b in zip(ours.parameters(), theirs.parameters(), strict=True)
    )


ALIKE = ("cct", "vat", "advsemiseg", "s4gan", "s4l", "gct")
"""Methods with further networks, but without a state of another kind than the others."""


@pytest.mark.parametrize(
    "name",
    [
        "classmix",
        "supervised",
        "dst_cbc",
        *(pytest.param(n, marks=pytest.mark.slow) for n in ALIKE),
    ],
)
def test_a_resumed_run_ends_with_the_same_weights(tmp_path, name):
    """Also with dropout and with the teacher's clock: everything follows from the step."""
    straight = trained(tmp_path, 6, name)

    trainer = make_trainer(6, tmp_path, callbacks=[SaveAtThree(tmp_path / "three.ckpt")])
    trainer.fit(make_module(name), make_data())
    resumed = make_module(name, seed=0)
    with torch.no_grad():
        for p in resumed.parameters():
            p.add_(torch.ones_like(p))
    trainer = make_trainer(6, tmp_path)
    trainer.fit(resumed, make_data(), ckpt_path=tmp_path / "three.ckpt")
    assert trainer.global_step == 6
    assert_same_state(straight, resumed)


def test_the_teacher_follows_once_per_optimiser_step(tmp_path):
    module = make_module("mean_teacher")
    clock = []
    module.method.after_step = lambda step: clock.append(step.index)
    make_trainer(3, tmp_path, accumulate_grad_batches=2).fit(module, make_data())
    assert clock == [0, 1, 2]
    assert module.batches_seen == 6


def test_micro_batches_of_one_step_are_mixed_differently(tmp_path):
    module = make_module()
    seeds = []
    original = module.make_step

    def remember():
        step = original()
        seeds.append((step.index, step.generator.initial_seed()))
        return step

    module.make_step = remember
    make_trainer(2, tmp_path, accumulate_grad_batches=2).fit(module, make_data())
    assert [index for index, _ in seeds] == [0, 0, 1, 1]
    assert len({seed for _, seed in seeds}) == 4


def test_warmup_is_supervised_and_counted_in_the_budget(tmp_path):
    module = make_module(warmup_steps=3)
    terms = recorded_terms(module)
    make_trainer(5, tmp_path).fit(module, make_data())
    assert terms == [["sup"]] * 3 + [["sup", "unsup"]] * 2


def test_supervised_never_reads_unlabeled_images(tmp_path):
    data = make_data()
    read = []
    original = data.source.read_image
    data.source.read_image = lambda record: (read.append(record.id), original(record))[1]
    trained(tmp_path, 2, "supervised", data)
    assert set(read) <= {r.id for r in data.split.labeled}


@pytest.mark.parametrize("name", sorted(METHODS))
def test_every_method_trains(tmp_path, name):
    before = make_module(name)
    module = copy.deepcopy(before)
    make_trainer(3, tmp_path).fit(module, make_data())
    moved = [
        not torch.equal(a, b)
        for a, b in zip(
            before.method.student.parameters(), module.method.student.parameters(), strict=True
        )
    ]
    assert all(moved)


def test_buffers_that_all_devices_compute_alike_are_not_sent(tmp_path):
    module = make_module("contrast")
    module.trainer = make_trainer(1, tmp_path)
    module.configure_model()
    names = {f"method.memory.{name}" for name in ("keys", "place", "count")}
    assert set(module._ddp_params_and_buffers_to_ignore) == names
    assert names <= {name for name, _ in module.named_buffers()}


def test_training_lowers_the_loss(tmp_path):
    module = make_module("supervised", optim=OptimizerConfig(lr=3e-3))
    losses = []
    original = module.training_step

    def remember(batch, batch_idx):
        loss = original(batch, batch_idx)
        losses.append(float(loss))
        return loss

    module.training_step = remember
    make_trainer(40, tmp_path).fit(module, make_data())
    assert sum(losses[-5:]) < 0.7 * sum(losses[:5])


def test_length_must_be_given_in_steps(tmp_path):
    with pytest.raises(UserError, match=r"trainer\.max_steps"):
        make_trainer(-1, tmp_path).fit(make_module(), make_data())


@pytest.mark.parametrize(
    ("asked", "device", "devices", "frozen", "shared"),
    [
        (None, "cuda", 2, False, True),  # 2 images on each
        (None, "cpu", 2, False, False),
        (None, "cuda", 2, True, False),
        (False, "cuda", 2, False, False),
        (True, "cuda", 2, True, True),
    ],
)
def test_when_devices_share_the_statistics_of_batchnorm(asked, device, devices, frozen, shared):
    module = make_module("classmix")
    module.compute = Compute(sync_batchnorm=asked)
    module.method.student.freeze_bn = frozen
    strategy = SimpleNamespace(root_device=torch.device(device))
    module._trainer = SimpleNamespace(
        world_size=devices, strategy=strategy, datamodule=make_data(batch_size=4)
    )
    assert module.shares_statistics is shared


def test_many_images_on_a_device_are_statistics_enough():
    module = make_module("classmix")
    strategy = SimpleNamespace(root_device=torch.device("cuda"))
    for size, shared in ((14, True), (16, False)):
        data = SimpleNamespace(batch_size=size, unlabeled_batch_size=64)
        module._trainer = SimpleNamespace(world_size=2, strategy=strategy, datamodule=data)
        assert module.shares_statistics is shared


def test_frozen_batchnorm_stays_as_it_is_while_a_trainer_trains(tmp_path):
    network = Segmenter(8, encoder="test_resnet", depth=3, freeze_bn=True)
    before = {n: b.clone() for n, b in network.named_buffers() if "running" in n}
    make_trainer(2, tmp_path).fit(make_module("classmix", network=network), make_data())
    assert before
    after = dict(network.named_buffers())
    assert all(torch.equal(buffer, after[name]) for name, buffer in before.items())


class LooksAtGradients(Callback):
    def on_after_backward(self, trainer, module):
        assert all(p.grad is not None for p in module.method.parameters())


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_parameters_that_idle_stay_as_they_are(tmp_path, name):
    """They are in the graph, for DDP, but a gradient of 0 would let them decay: they have none."""
    optim = OptimizerConfig(name, lr=0.1, weight_decay=0.5)
    module = make_module("guidedmix_released", warmup_steps=3, optim=optim)
    waiting = list(module.method.mix_decoder.parameters())
    before = [p.detach().clone() for p in waiting]
    trainer = make_trainer(3, tmp_path, callbacks=[LooksAtGradients()])
    trainer.fit(module, make_data())
    assert all(torch.equal(ours, p) for ours, p in zip(before, waiting, strict=True))
    assert not any(p in trainer.optimizers[0].state for p in waiting)
    trainer = make_trainer(5, tmp_path, callbacks=[LooksAtGradients()])
    trainer.fit(module, make_data())  # anew, two steps beyond the warm-up
    assert not any(torch.equal(ours, p) for ours, p in zip(before, waiting, strict=True))


class SaveSecondStep(Callback):
    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        if trainer.global_step == 2:
            trainer.save_checkpoint(Path(trainer.default_root_dir) / "two.ckpt")


def test_a_run_in_64_bits_goes_on_exactly(tmp_path):
    def trained(ckpt_path=None):
        module, options = make_module("classmix"), {"callbacks": [SaveSecondStep()]}
        trainer = make_trainer(4, tmp_path, precision="64-true", **options)
        trainer.fit(module, datamodule=make_data(), ckpt_path=ckpt_path)
        return module.state_dict()

    whole, resumed = trained(), trained(tmp_path / "two.ckpt")
    for name, tensor in whole.items():
        assert torch.equal(resumed[name], tensor), name
