import numpy as np
import torch
from PIL import Image

import ssseg
from ssseg.cli.main import main
from tests.cli.small_runs import SMALL, fit


def test_a_run_leaves_what_it_promises(here, capsys):
    args = ["--method", "classmix", "--method.warmup_steps", "1", "--out", "run"]
    args += ["--trainer.gradient_clip_val", "5", "--data.jitter", "0.1"]
    assert fit(*args, steps=12) == 0
    out = capsys.readouterr().out
    assert "each seen 6.0 times in 12 steps" in out
    assert "mIoU student" in out
    run = ssseg.Run(here / "run")
    summary = run.summary
    assert summary["method"]["name"] == "classmix"
    assert summary["steps"] == 12
    assert summary["data"]["split"] == "8 seed 0"
    assert len(summary["data"]["split_hash"]) == 12
    assert summary["exposures"] == {"labeled": 6.0, "unlabeled": 12 * 4 / 16}
    assert set(summary["last"]) == set(summary["best"]) == {"student", "teacher"}
    assert summary["last"]["teacher"]["iou"].keys() <= {c.name for c in _street().classes}
    assert summary["best"]["teacher"]["miou"] == max(row["teacher"] for row in run.history)
    assert run.history[-1]["step"] == 12
    assert summary["training"] == {
        "precision": "32-true",
        "accumulate_grad_batches": 1,
        "gradient_clip_val": 5,
        "gradient_clip_algorithm": "norm",
        "devices": 1,
        "shared_batchnorm": False,
        "limit_train_batches": 1.0,
        "limit_val_batches": 1.0,
        "callbacks": [],
    }
    assert summary["data"]["augmentation"]["jitter"] == 0.1
    assert summary["network"]["weights"] is None
    assert summary["compute"]["compile"] is False
    assert summary["seconds"] > 0
    assert summary["peak_memory_mb"] > 50
    assert summary["versions"]["torch"] == torch.__version__.split("+")[0]
    assert summary["command"].startswith("ssseg fit --method classmix")
    assert run.checkpoint("last").is_file()
    assert run.checkpoint("best").is_file()
    assert {"loss/sup", "loss/unsup", "train/trusted"} <= set().union(*run.metrics)
    picture = np.asarray(Image.open(run.samples[-1]).convert("RGB"))
    assert picture.shape[0] > 300
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 100
    tiles = {p.name for p in (here / "run" / "samples" / "tiles").iterdir()}
    assert {"input_0.png", "truth_0.png", "student_0.png", "teacher_3.png"} <= tiles


def _street():
    from ssseg.data.datasets import Street

    return Street()


def test_run_folders_are_never_overwritten(here):
    assert fit("--method", "supervised") == 0
    assert fit("--method", "supervised") == 0
    assert {p.name for p in (here / "runs").iterdir()} == {
        "street-supervised-seed0",
        "street-supervised-seed0-2",
    }


def test_without_validation_images_there_is_a_model_but_no_score(here, capsys, recwarn):
    args = ["--method", "supervised", "--out", "run", "--data.val_images", "0"]
    assert main(["fit", *SMALL, *args, "--trainer.max_steps", "2"]) == 0
    assert "no validation images" in capsys.readouterr().out
    assert not [str(w.message) for w in recwarn if "Total length" in str(w.message)]
    run = ssseg.Run(here / "run")
    assert run.summary["last"] == {}
    assert run.checkpoint().is_file()
    assert not run.checkpoint("best").exists()
