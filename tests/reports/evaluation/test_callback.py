import pytest

import ssseg
from ssseg.cli.main import main
from ssseg.reports.evaluation.callback import page_name
from tests.reports.evaluation.documents import document_of


def test_every_mode_has_a_folder_of_its_own(run, checkpoint, capsys):
    modes = {
        "test-val-slide": ["--eval.mode", "slide", "--eval.window", "[16, 24]"],
        "test-val-whole-2scales-flip": ["--eval.scales", "[0.5, 1.0]", "--eval.flip", "true"],
        "test-val-whole": ["--eval.boundary", "false"],
        "test-val-whole-2": ["--eval.missing_classes", "zero"],
    }
    for name, args in modes.items():
        assert main(["validate", "--ckpt_path", str(checkpoint), *args]) == 0
        out = capsys.readouterr().out
        assert f"page     {run / name / 'index.html'}" in out
        doc = document_of(run / name)
        for network, found in doc["networks"].items():
            line = next(s for s in out.splitlines() if s.startswith(f"{network}: "))
            assert f"mIoU {100 * found['miou']:.2f}, " in line
            assert f"pixel accuracy {100 * found['pixel_accuracy']:.2f}" in line
    docs = {name: document_of(run / name) for name in modes}
    assert docs["test-val-slide"]["evaluation"]["protocol"] == "slide 16 x 24"
    said = {name: " ".join(doc["evaluation"]["words"]) for name, doc in docs.items()}
    assert "16 x 24 pixels" in said["test-val-slide"]
    assert "11 pixels down and 16 right" in said["test-val-slide"]
    assert (
        "resized by 0.5, 1, and over the image and its mirror"
        in said["test-val-whole-2scales-flip"]
    )
    assert "boundary_iou" not in docs["test-val-whole"]["networks"]["teacher"]
    last = ssseg.Run(run).summary["last"]
    assert docs["test-val-whole"]["networks"]["teacher"]["iou"] == last["teacher"]["iou"]


def test_validation_images_can_be_tested(run, checkpoint, tmp_path):
    args = ["test", "--ckpt_path", str(checkpoint), "--split", "val"]
    assert main([*args, "--out", str(tmp_path / "page")]) == 0
    doc = document_of(tmp_path / "page")
    assert doc["data"]["split"] == "val"
    assert len(doc["worst"]) == len(doc["best"]) == 2
    last = ssseg.Run(run).summary["last"]
    for network in ("student", "teacher"):
        assert doc["networks"][network]["miou"] == last[network]["miou"]


def test_only_known_splits_and_free_folders(run, checkpoint, capfd):
    before = sorted(run.iterdir())
    for args, complaint in (
        (["test", "--split", "tset"], "option split is 'tset'; expected one of 'test', 'val'"),
        (["validate", "--split", "test"], "unrecognized arguments"),
        (["test", "--out", str(run)], "is not empty"),
        (["test", "--data.test_images", "0"], "has no test images with masks"),
    ):
        assert main([*args, "--ckpt_path", str(checkpoint)]) == 2
        assert complaint in capfd.readouterr().err
    assert sorted(run.iterdir()) == before


def test_from_python(run, checkpoint, tmp_path):
    before = sorted(run.iterdir())
    first = ssseg.test(checkpoint, page=False)
    assert sorted(run.iterdir()) == before
    options = {"mode": "slide", "window": [32, 32]}  # one window: the same as the whole image
    second = ssseg.test(checkpoint, out=tmp_path / "page", eval_options=options)
    assert set(first) == {"test/miou", "test/miou_student", "test/miou_teacher"}
    assert second == pytest.approx(first)
    assert document_of(tmp_path / "page")["evaluation"]["protocol"] == "slide 32 x 32"
    third = ssseg.test(checkpoint, split="val", page=False)
    assert third == ssseg.validate(checkpoint, page=False)


def test_folders_are_named_by_what_was_done():
    from ssseg.evaluation import Inference

    assert page_name("val", Inference("slide", (3, 3), flip=True)) == "test-val-slide-flip"
    assert page_name("test", Inference(scales=(0.5,))) == "test-test-whole-scale0.5"
