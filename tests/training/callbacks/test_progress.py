from types import SimpleNamespace

import pytest

from ssseg.methods import create_method
from ssseg.models import Segmenter
from ssseg.testing import tiny_network
from ssseg.training.callbacks.progress import ProgressBar, announcement
from ssseg.training.module import SegmentationModule
from tests.conftest import make_data, make_module, make_trainer


def test_the_announcement_says_what_the_method_remarks(monkeypatch):
    data = make_data()
    data.prepare("fit", 1)
    trainer = SimpleNamespace(
        datamodule=data, world_size=1, max_steps=10, accumulate_grad_batches=1,
        limit_val_batches=1.0, val_check_interval=5,
    )  # fmt: skip
    own = Segmenter(8, decoder="guidedmix", encoder="test_resnet", depth=3)
    modules = {
        "guidedmix": SegmentationModule(create_method("guidedmix"), tiny_network(8)),
        "supervised": make_module("supervised"),
        "with MITrans": SegmentationModule(create_method("guidedmix"), own),
    }
    said = {
        name: [line for line in announcement(trainer, module) if "MITrans" in line]
        for name, module in modules.items()
    }
    assert len(said["guidedmix"]) == 1
    assert said.pop("guidedmix") == modules["guidedmix"].method.notices()
    assert said == {"supervised": [], "with MITrans": []}
    monkeypatch.setattr(type(modules["supervised"].method), "notices", lambda self: ["one", "two"])
    lines = announcement(trainer, modules["supervised"])
    assert lines[-2:] == ["one", "two"]
    assert lines[0].startswith("network ")


@pytest.mark.parametrize("validated", [True, False])
def test_without_a_terminal_the_last_step_is_printed_once(tmp_path, capsys, validated):
    every = {"val_check_interval": 2 if validated else 1000}
    trainer = make_trainer(2, tmp_path, callbacks=[ProgressBar()], **every)
    trainer.fit(make_module("supervised"), make_data())
    said = [line for line in capsys.readouterr().out.splitlines() if line.startswith("step ")]
    assert [line.split()[1] for line in said] == ["2/2"]
    assert ("mIoU" in said[0]) == validated
