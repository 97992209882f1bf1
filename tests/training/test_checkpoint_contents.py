import pytest
import torch

from ssseg.errors import UserError
from ssseg.training.module import SegmentationModule
from tests.conftest import make_data, make_module, make_trainer


def test_checkpoints_are_plain_data_and_complete(tmp_path):
    module = make_module("classmix", threshold=0.5)
    trainer = make_trainer(3, tmp_path)
    trainer.fit(module, make_data())
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    saved = torch.load(tmp_path / "last.ckpt", weights_only=True)["ssseg"]
    assert saved["method"]["class_path"] == "ssseg.methods.classmix.ClassMix"
    assert saved["method"]["init_args"]["threshold"] == 0.5
    assert saved["data"]["classes"][2]["name"] == "road"
    assert saved["network"]["init_args"]["num_classes"] == 8

    from ssseg.api import load

    twin = load(tmp_path / "last.ckpt")
    assert twin.name == "teacher"
    image = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(twin(image), module.eval()(image))


def test_a_checkpoint_of_another_network_is_refused(tmp_path):
    trainer = make_trainer(2, tmp_path)
    trainer.fit(make_module(), make_data())
    trainer.save_checkpoint(tmp_path / "eight.ckpt")
    other = make_module("classmix", rounding="ceil")
    with pytest.raises(
        UserError, match=r"method has rounding = 'floor', but this run's has 'ceil'"
    ):
        make_trainer(4, tmp_path).fit(other, make_data(), ckpt_path=tmp_path / "eight.ckpt")


def test_a_checkpoint_of_options_that_went_says_what_became_of_them(tmp_path):
    module = make_module("guidedmix")
    make_trainer(1, tmp_path).fit(module, make_data())
    trainer, path = module.trainer, tmp_path / "old.ckpt"
    trainer.save_checkpoint(path)
    saved = torch.load(path, weights_only=True)
    saved["ssseg"]["method"]["init_args"] |= {"variant": "released", "teacher": False}
    torch.save(saved, path)
    became = "which is the method guidedmix_released since ssseg 0.2"
    with pytest.raises(UserError, match=became):
        SegmentationModule.load_from_checkpoint(path)
    with pytest.raises(UserError, match=became):
        make_trainer(2, tmp_path).fit(make_module("guidedmix"), make_data(), ckpt_path=path)
