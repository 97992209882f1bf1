"""A folder of photographs and one of masks, through the verbs."""

import json

import pytest
import timm
import torch
import yaml
from safetensors.torch import save_file

import ssseg
from ssseg.cli.main import main
from ssseg.data.datasets.folder import Folder
from tests.data.loose import mask, masks_of, photographs, prepared, usual
from tests.data.trees import draw_tree, ids, paint, save
from tests.datacheck.faults import contents, examined, finding

TINY = [
    *("--network", "small", "--network.depth", "3", "--data.crop_size", "16"),
    *("--data.num_workers", "0", "--trainer.accelerator", "cpu"),
]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder of photographs, and the run that was trained on it with nothing else named."""
    root = usual(tmp_path_factory.mktemp("loose"), unlabeled=8, naming="{}_mask")
    out = root / "run"
    where = ["--data.images", str(root / "photos"), "--data.masks", str(root / "masks")]
    steps = ["--trainer.max_steps", "2", "--out", str(out)]
    assert main(["fit", *where, *TINY, *steps]) == 0
    return root, out


def test_a_run_needs_two_folders(trained):
    root, out = trained
    summary = json.loads((out / "summary.json").read_text())
    assert summary["method"]["name"] == "classmix"
    assert [summary["data"][name] for name in ("labeled", "unlabeled", "val")] == [8, 8, 2]
    split = json.loads((out / "split.json").read_text())
    assert [len(split[name]) for name in ("train", "val", "test")] == [8, 2, 0]
    source = yaml.safe_load((out / "config.yaml").read_text())["data"]["source"]
    assert source["class_path"] == "ssseg.data.datasets.pairs.Pairs"
    assert source["init_args"]["images"] == str(root / "photos")


def test_python_types_the_same(trained, tmp_path):
    root, out = trained
    run = ssseg.fit(
        images=root / "photos",
        masks=root / "masks",
        val=0.2,
        crop_size=16,
        num_workers=0,
        network="small",
        network_options={"depth": 3},
        trainer={"accelerator": "cpu"},
        max_steps=2,
        out=tmp_path / "run",
    )
    split = (tmp_path / "run" / "split.json").read_text()
    assert split == (out / "split.json").read_text()
    assert (
        run.summary["config_hash"] == json.loads((out / "summary.json").read_text())["config_hash"]
    )


def test_models_are_used_as_any(trained, tmp_path):
    root, out = trained
    checkpoint = str(out / "checkpoints" / "last.ckpt")
    photo = str(root / "photos" / "u0.png")
    assert main(["predict", checkpoint, photo, "--out", str(tmp_path / "found")]) == 0
    assert (tmp_path / "found" / "u0.png").is_file()
    assert ssseg.export(checkpoint, "safetensors", out=tmp_path / "m.safetensors").is_file()


def test_a_pretrained_model_is_scored_again(trained, tmp_path, capsys):
    """Its BatchNorm is frozen by rule, from the batches that only training has."""
    torch.manual_seed(0)
    weights, out = tmp_path / "test_resnet.safetensors", tmp_path / "run"
    save_file(timm.create_model("test_resnet").state_dict(), weights)
    root, _ = trained
    where = ["--data.images", str(root / "photos"), "--data.masks", str(root / "masks")]
    network = ["--network.encoder", "test_resnet", "--network.weights", str(weights)]
    steps = ["--trainer.max_steps", "1", "--out", str(out)]
    assert main(["fit", *where, "--network", "unet", *TINY[2:], *network, *steps]) == 0
    assert "BatchNorm  frozen" in capsys.readouterr().out
    scores = ssseg.validate(out / "checkpoints" / "last.ckpt", page=False)
    last = json.loads((out / "summary.json").read_text())["last"]
    assert scores["val/miou_teacher"] == pytest.approx(last["teacher"]["miou"], abs=1e-6)


def test_what_was_held_out_is_scored_after_more_is_labeled(trained, tmp_path, capsys):
    root, run = trained
    held = json.loads((run / "split.json").read_text())["val"]
    page, added = tmp_path / "page", [root / "masks" / f"u{number}_mask.png" for number in range(4)]
    scores = ["test", "--split", "val", "--ckpt_path", str(run / "checkpoints" / "last.ckpt")]
    longer = ["fit", "--resume", str(run), "--trainer.max_steps", "3"]
    for number, path in enumerate(added):
        save(mask(100 + number), path)
    try:
        assert main([*scores, "--out", str(page)]) == 0
        found = json.loads((page / "scores.json").read_text())
        seen = {one["id"] for one in [*found["worst"], *found["best"]]}
        assert seen == {one["id"] for one in held}
        capsys.readouterr()
        assert main(longer) == 2
        said = capsys.readouterr().err
        assert "the images with masks are not those that the run" in said
        assert "Traceback" not in said
    finally:
        for path in added:
            path.unlink()
    assert main(longer) == 0


def test_a_test_without_test_images_says_what_to_do(trained, capsys):
    assert main(["test", "--ckpt_path", str(trained[1] / "checkpoints" / "last.ckpt")]) == 2
    assert "ssseg test --split val scores those of validation" in capsys.readouterr().err


def test_the_doctor_proposes_classes_and_writes_the_layout(tmp_path, capsys):
    root = usual(tmp_path / "loose", write=lambda ids: (ids > 0).astype("uint8") * 255)
    before = contents(root)
    where = ["--data.images", root / "photos", "--data.masks", root / "masks"]
    code, report = examined(capsys, *where, "--fix", tmp_path / "sorted")
    assert code == 0
    assert contents(root) == before
    assert {name: one["images"] for name, one in report["sets"].items()} == {
        "labeled": 8,
        "unlabeled": 4,
        "val": 2,
        "test": 0,
    }
    proposed = finding(report, "classes_found")["text"]
    assert '{"name": "foreground", "id": 255}' in proposed
    fixed = Folder(str(tmp_path / "sorted"))
    data = prepared(fixed)
    assert len(fixed.records("val")) == 2
    assert [info.name for info in fixed.classes] == ["background", "foreground"]
    assert len(data.unlabeled) == 4
    assert ssseg.doctor(images=root / "photos", masks=root / "masks")["verdict"]["ok"]


def test_a_copy_of_a_layout_without_validation_images_validates(tmp_path, capsys):
    root = draw_tree(tmp_path / "photos", train=10, val=0)
    code, report = examined(capsys, root, "--fix", tmp_path / "fixed")
    assert code == 0
    fixed = Folder(str(tmp_path / "fixed"))
    prepared(fixed)
    assert [len(fixed.records(split)) for split in ("train", "val")] == [8, 2]
    held = [one["files"] for one in report["fix"]["done"] if "put into val/" in one["text"]]
    assert [name.rpartition("/")[2] for name in held[0]] == [
        f"{name}.png" for name in ids(fixed.records("val"))
    ]


def test_a_template_is_typed_as_it_is(tmp_path):
    photographs(tmp_path / "photos", [*(f"a{number}" for number in range(5)), "u0"])
    masks_of(tmp_path / "masks", [f"{{a{number}}}" for number in range(5)])
    told = {"images": tmp_path / "photos", "masks": tmp_path / "masks"}
    report = ssseg.doctor(**told, mask_name="{{name}}")
    assert report["sets"]["labeled"]["images"] == 4
    save(paint(mask(0)), tmp_path / "masks" / "notes.jpg")
    said = finding(ssseg.doctor(**told, mask_name="{{name}}"), "left_out")["text"]
    assert "masks are read from png, bmp, tif, tiff" in said


@pytest.mark.slow
def test_a_benchmark_takes_the_two_folders(tmp_path, capsys):
    root = usual(tmp_path)
    where = ["--data.images", str(root / "photos"), "--data.masks", str(root / "masks")]
    out = ["--out", str(tmp_path / "study"), "--trainer.max_steps", "2"]
    assert main(["benchmark", "--methods", "supervised,cutmix", *where, *TINY, *out]) == 0
    kept = [path.read_text() for path in sorted((tmp_path / "study").rglob("split.json"))]
    assert len(kept) == 2
    assert kept[0] == kept[1]
    assert "cutmix" in capsys.readouterr().out
