from pathlib import Path

import pytest
from pytorch_lightning.callbacks import EarlyStopping

import ssseg
from ssseg.data.datasets import Street
from ssseg.methods import method_class
from tests.cli.small_runs import assert_same_weights, fit


def test_python_and_command_line_are_one_path(here):
    options = {"train_images": 24, "val_images": 4, "size": 32, "labeled": 8, "batch_size": 4}
    patient = {"monitor": "val/miou", "mode": "max", "patience": 99}
    trainer = {
        "accelerator": "cpu",
        "callbacks": [{"class_path": EarlyStopping, "init_args": patient}],
    }
    run = ssseg.fit(
        method_class("classmix"),
        Street,
        out=Path("py"),
        logger=True,
        max_steps=3,
        trainer=trainer,
        **options,
    )
    assert run.summary["training"]["callbacks"] == ["EarlyStopping"]
    assert fit("--method", "classmix", "--out", "cli") == 0
    assert_same_weights(run.folder, here / "cli")
    scores = ssseg.validate(run.checkpoint())
    assert scores["val/miou_teacher"] == pytest.approx(run.summary["last"]["teacher"]["miou"])
    assert "classmix on street: mIoU student" in str(run)
