from dataclasses import dataclass

import pytest
import torch

from ssseg.errors import UserError
from ssseg.losses import LabeledLoss, cross_entropy, dice_loss
from ssseg.methods import create_method
from ssseg.methods.base import Method
from ssseg.testing import tiny_network
from ssseg.training.module import SegmentationModule
from ssseg.types import StepOutput
from tests.conftest import make_data, make_trainer


@dataclass(eq=False, repr=False)
class OwnLoss(Method):
    """A method that does not ask for the loss of the run."""

    num_views = 0

    def losses(self, batch, step):
        image, label = batch.labeled
        return StepOutput({"sup": cross_entropy(self.student(image), label, step.devices)})


@dataclass(eq=False, repr=False)
class OwnOption(Method):
    """A method with an option that is called like one of the loss."""

    class_weights: float = 2.0
    num_views = 0

    def losses(self, batch, step):
        image, label = batch.labeled
        loss = self.labeled_loss(self.student(image), label, step)
        return StepOutput({"sup": self.class_weights * loss})


def trained(tmp_path, method, loss, steps=1, data=None):
    torch.manual_seed(0)
    module = SegmentationModule(method, tiny_network(8), seed=0, loss=loss)
    trainer = make_trainer(steps, tmp_path, log_every_n_steps=1)
    trainer.fit(module, datamodule=data or make_data())
    return module, trainer


@pytest.mark.parametrize("name", ["supervised", "classmix", "guidedmix"])
def test_the_term_sup_of_a_method_is_the_loss_of_the_run(name, tmp_path, monkeypatch):
    seen = []

    def spy(logits, label, devices, *, weights=None):
        seen.append(dice_loss(logits, label, devices, weights=weights))
        return seen[-1]

    monkeypatch.setattr("ssseg.losses.labeled.dice_loss", spy)
    hparams = {} if name == "supervised" else {"warmup_steps": 0}
    _, trainer = trained(tmp_path, create_method(name, **hparams), LabeledLoss("dice"))
    assert len(seen) == 1
    assert trainer.logged_metrics["loss/sup"] == pytest.approx(seen[0].item())


def test_auto_weights_are_counted_in_the_labeled_images(tmp_path):
    data = make_data()
    module, _ = trained(
        tmp_path, create_method("supervised"), LabeledLoss(class_weights="auto"), data=data
    )
    pixels = torch.tensor(data.contents.pixels, dtype=torch.float64)
    median = pixels[pixels > 0].median()
    expected = torch.where(pixels > 0, median / pixels, 1.0).clamp_max(10).float()
    torch.testing.assert_close(module.method._class_weights, expected)
    assert "class_weights" not in "".join(module.state_dict())


def test_a_method_may_have_an_option_of_that_name(tmp_path):
    given = LabeledLoss(class_weights=[1.0] * 8)
    module, trainer = trained(tmp_path, OwnOption(), given)
    assert module.method.hparams == {"class_weights": 2.0}
    _, usual = trained(tmp_path, create_method("supervised"), LabeledLoss())
    expected = 2 * usual.logged_metrics["loss/sup"]
    torch.testing.assert_close(trainer.logged_metrics["loss/sup"], expected)


def test_a_method_with_a_loss_of_its_own_refuses_another(tmp_path):
    with pytest.raises(UserError, match="option loss is focal, but OwnLoss computes a loss"):
        trained(tmp_path, OwnLoss(), LabeledLoss("focal"))
    trained(tmp_path, OwnLoss(), LabeledLoss())


def test_weights_for_other_classes_are_refused_before_training(tmp_path):
    with pytest.raises(UserError, match="has 2 weights, but there are 8 classes"):
        trained(tmp_path, create_method("supervised"), LabeledLoss(class_weights=[1.0, 2.0]))
