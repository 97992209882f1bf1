"""What is counted is true, what is promised is kept: nothing is changed, no mask opened in vain."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import ssseg
from ssseg.cli.main import main
from ssseg.datacheck.file_rules import KINDS
from ssseg.methods import METHODS
from ssseg.models import NETWORKS, Segmenter
from ssseg.training.memory import memory_of_step, memory_of_validation
from tests.data.trees import CLASSES, draw_tree, paint, save
from tests.datacheck.faults import contents, examined, finding, kinds, mask, read, truncate

DOCS = Path(__file__).parents[2] / "docs" / "reference"
DECODERS = ["unet", "deeplabv3plus", "guidedmix", "segformer", "small"]
TINY = {"embed_dim": 48, "depth": 4, "num_heads": 2}
TRANSFORMERS = {
    "dinov2": {"decoder": "dpt", "encoder": "vit_small_patch14_dinov2", "encoder_options": TINY},
    "beit": {"decoder": "dpt", "encoder": "beit_base_patch16_224", "encoder_options": TINY},
    "frozen": {"decoder": "dpt", "encoder": "test_vit", "freeze_encoder": True},
}


def plain_counts(root, split):
    """Pixels of each value of the masks of a split, and the masks that hold it."""
    masks = [read(path) for path in sorted((root / split / "masks").iterdir())]
    pixels = {v: sum(int((m == v).sum()) for m in masks) for v in (0, 1, 2, 255)}
    images = {v: sum(bool((m == v).any()) for m in masks) for v in (0, 1, 2, 255)}
    return pixels, images


def test_a_healthy_tree(tmp_path, capsys):
    root = draw_tree(tmp_path / "photos", train=9, val=3, test=2, unlabeled=6, size=(70, 100))
    save(paint(mask(0, (200, 150))), root / "unlabeled" / "deep" / "tall.jpg")
    for path in (root / "train" / "masks").iterdir():
        ids = read(path).copy()
        ids[:7] = 255
        save(ids, path)
    before = contents(root)
    code, report = examined(capsys, root)
    assert code == 0
    assert contents(root) == before
    assert report["findings"] == []
    ok = {"ok": True, "errors": 0, "warnings": 0, "notes": 0, "text": "training can start"}
    assert report["verdict"] == ok
    assert report["data"] == {
        "name": "photos",
        "in_channels": 3,
        "values": "uint8",
        "split": "all",
    }
    number = {name: numbers["images"] for name, numbers in report["sets"].items()}
    assert number == {"labeled": 9, "unlabeled": 7, "val": 3, "test": 2}
    labeled, unlabeled = report["sets"]["labeled"], report["sets"]["unlabeled"]
    assert labeled["ignored"] == 0.1
    assert labeled["masks"] == 9
    assert unlabeled["masks"] == 0
    assert unlabeled["ignored"] is None
    assert unlabeled["smallest"] == unlabeled["median"] == [70, 100]
    assert unlabeled["largest"] == [200, 150]
    assert unlabeled["formats"] == {"png": 6, "jpeg": 1}
    assert labeled["channels"] == {"3": 9}
    assert labeled["values"] == {"uint8": 9}
    for role, split in (("labeled", "train"), ("val", "val"), ("test", "test")):
        pixels, images = plain_counts(root, split)
        valid = pixels[0] + pixels[1] + pixels[2]
        for i, name in enumerate(CLASSES):
            assert report["classes"][i]["name"] == name
            found = report["classes"][i][role]
            assert found == {"share": pytest.approx(pixels[i] / valid), "images": images[i]}
    assert report["proposal"]["crop_size"] == [64, 64]
    assert report["proposal"]["option"] == '--data.crop_size "[64, 64]"'
    estimate = report["estimate"]
    assert estimate["exposures"] == {"labeled": 800 * 4 / 9, "unlabeled": 800 * 4 / 7}
    assert estimate["memory"]["images"] == 8
    assert estimate["memory"]["network"] == "unet on resnet18"


def test_masks_of_images_that_are_not_labeled_are_not_opened(tmp_path, capsys):
    root = draw_tree(tmp_path / "photos", train=10)
    _, report = examined(capsys, root, "--labeled", "4", "--split_seed", "3")
    chosen = ssseg.SegmentationData(
        ssseg.data.datasets.folder.Folder(str(root)), labeled=4, split_seed=3
    ).split
    for record in chosen.rest:
        record.mask.unlink()
        record.mask.mkdir()  # opening it would be an error
        record.mask.rmdir()
        record.mask.write_bytes(b"")
    code, report = examined(capsys, root, "--data.labeled=4", "--data.split_seed", "3")
    assert code == 0
    assert report["data"]["split"] == "4 seed 3"
    assert report["sets"]["labeled"]["images"] == report["sets"]["labeled"]["masks"] == 4
    assert report["sets"]["unlabeled"]["images"] == 6 + 4
    assert "mask_empty" not in kinds(report)
    assert examined(capsys, root)[0] == 1


def test_the_crop_fits_most_images():
    def crop(*sizes):
        from ssseg.datacheck.counts import propose_crop
        from ssseg.datacheck.scan import ImageFacts, ScannedImage

        facts = [ImageFacts(*size, 3, "uint8", "png", 1, "") for size in sizes]
        return propose_crop([ScannedImage("unlabeled", None, image, None, ()) for image in facts])

    assert crop((360, 480)) == (352, 352)
    assert crop((3000, 4000)) == (512, 512)
    assert crop((20, 30)) == (32, 32)
    assert crop((40, 500), (100, 90), (130, 600)) == (64, 64)
    assert crop() is None


@pytest.mark.parametrize("name", [*DECODERS, *TRANSFORMERS])
def test_memory_is_what_a_real_forward_pass_keeps(name):
    """Counted without computing, the same bytes as when computed."""
    network = {**NETWORKS, **TRANSFORMERS}[name]
    counted = memory_of_step(
        network, (64, 96), num_classes=5, in_channels=4, images=6, teacher=False
    )
    model = Segmenter(5, 4, **network).train()
    own = {p.untyped_storage().data_ptr() for p in [*model.parameters(), *model.buffers()]}
    kept = {}

    def keep(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss = F.cross_entropy(model(torch.randn(6, 4, 64, 96)), torch.zeros(6, 64, 96).long())
    real = sum(storage.nbytes() for storage in kept.values())
    assert loss.isfinite()
    assert counted.activations == pytest.approx(real, rel=0.03)  # a CPU may fuse
    assert counted.parameters == sum(p.numel() for p in model.parameters())
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert counted.weights == 4 * (counted.parameters + 3 * trained)


def test_no_matrix_of_all_pairs_of_patches_is_counted():
    pairs = 4 * 2 * 1370**2  # bytes, of two heads and 37 x 37 patches with the class token
    network, size = TRANSFORMERS["dinov2"], (518, 518)
    options = {"num_classes": 5, "in_channels": 3, "images": 1}
    # scores and their softmax would be held at once
    assert memory_of_validation(network, size, batch=1, **options) < 2 * pairs
    step = memory_of_step(network, size, teacher=False, **options)
    assert step.activations < 4 * pairs  # that of every block, and everything else


def test_memory_knows_what_a_method_needs(tmp_path):
    root = draw_tree(tmp_path / "photos", size=(64, 64))
    one = ssseg.doctor(root=root, method="supervised")["estimate"]["memory"]
    two = ssseg.doctor(root=root, method="classmix")["estimate"]["memory"]
    assert (one["images"], two["images"]) == (4, 8)
    assert two["activations"] == 2 * one["activations"]
    assert two["weights"] - one["weights"] == 4 * one["parameters"]
    assert (one["teacher"], two["teacher"]) == (False, True)
    own = ssseg.doctor(root=root, method="guidedmix")["estimate"]["memory"]
    assert own["network"].startswith("guidedmix on")
    small = ssseg.doctor(root=root, network="small")["estimate"]["memory"]
    assert small["parameters"] < 1e6 < one["parameters"]


def test_memory_that_cannot_be_counted_is_unknown(tmp_path, monkeypatch, capsys):
    def fail(*args, **options):
        raise NotImplementedError("no values on the meta device")

    monkeypatch.setattr("ssseg.training.memory.memory_of_step", fail)
    root = draw_tree(tmp_path / "photos")
    assert main(["doctor", str(root)]) == 0
    assert re.search(r"memory +unknown", capsys.readouterr().out)


def test_counting_memory_leaves_randomness_alone(tmp_path):
    root = draw_tree(tmp_path / "photos")
    before = torch.get_rng_state()
    ssseg.doctor(root=root)
    assert torch.equal(torch.get_rng_state(), before)


def test_text_and_document_agree(tmp_path, capsys):
    root = draw_tree(tmp_path / "photos", train=9)
    (root / "unlabeled" / "u1.png").write_bytes(b"")
    truncate(root / "val" / "masks" / "a1.png")
    save(np.full((24, 32), 9, np.uint8), root / "train" / "masks" / "a2.png")
    code, report = examined(capsys, root)
    assert main(["doctor", str(root)]) == code == 1
    captured = capsys.readouterr()
    assert captured.err == ""
    assert "\x1b" not in captured.out
    lines = captured.out.splitlines()
    assert max(map(len, lines)) <= 80
    flowing = " ".join(captured.out.split())
    assert len(report["findings"]) >= 3
    for found in report["findings"]:
        assert found["text"] in flowing
    for name, numbers in report["sets"].items():
        assert re.search(rf"^{name} +{numbers['images']} ", captured.out, re.MULTILINE)
    for info in report["classes"]:
        share = f"{info['labeled']['share']:.1%}"
        assert re.search(rf"^ *{info['id']}  {info['name']} +{share} ", captured.out, re.MULTILINE)
    assert report["proposal"]["option"] in flowing
    assert f"about {report['estimate']['memory']['bytes'] / 2**30:.1f} GB" in flowing
    assert lines[-1] == report["verdict"]["text"] == "training cannot start: 3 problems"
    order = ["error", "warning", "note"]
    severities = [order.index(found["severity"]) for found in report["findings"]]
    assert severities == sorted(severities)


def test_python_and_command_line_are_one(tmp_path, capsys):
    root = draw_tree(tmp_path / "photos")
    args = ["--labeled", "1/2", "--method", "cutmix", "--max_steps", "90", "--batch_size", "2"]
    _, report = examined(capsys, root, *args)
    options = {"labeled": "1/2", "method": "cutmix", "max_steps": 90, "batch_size": 2}
    assert json.loads(json.dumps(ssseg.doctor("folder", root=root, **options))) == report
    assert report["estimate"]["exposures"] == {"labeled": 45.0, "unlabeled": 22.5}


def test_drawn_scenes_are_looked_at_too(capsys):
    options = {"train_images": 24, "val_images": 6, "test_images": 4, "size": 32, "labeled": 8}
    args = [f"--data.{name}={value}" for name, value in options.items()]
    code, report = examined(capsys, "--data", "street", *args)
    assert code == 0
    assert report["sets"]["unlabeled"] == {
        **{"images": 16, "readable": 16, "masks": 0, "ignored": None},
        **{"smallest": [32, 32], "median": [32, 32], "largest": [32, 32]},
        **{"channels": {"3": 16}, "values": {"uint8": 16}, "formats": {"drawn": 16}},
    }
    source = ssseg.data.datasets.Street(train_images=24, val_images=6, test_images=4, size=32)
    val = np.stack([source.read_mask(record) for record in source.records("val")])
    for info in report["classes"]:
        assert info["val"]["share"] == pytest.approx((val == info["id"]).mean())


@pytest.mark.parametrize(
    ("args", "complaint"),
    [
        ([], "give a folder"),
        (["no/such/folder"], "no such folder"),
        (["{root}", "--method", "clasmix"], "did you mean 'classmix'"),
        (["{root}", "--network", "unett"], "did you mean 'unet'"),
        (["{root}", "--labeled", "99"], "99 of 8 training images"),
        (["{root}", "--max_steps", "0"], "option max_steps is 0"),
        (["{root}", "--batch_size", "two"], "invalid int value"),
        (["{root}", "--foo"], "unrecognized arguments: --foo"),
        (["{root}", "--data.rot", "x"], "did you mean 'root'"),
        (["{root}", "--data.unlabeled", "no/such"], "no such folder"),
    ],
)
def test_bad_options_are_one_sentence(tmp_path, capsys, args, complaint):
    root = draw_tree(tmp_path / "photos")
    assert main(["doctor", *(arg.replace("{root}", str(root)) for arg in args)]) == 2
    err = capsys.readouterr().err
    assert complaint in err
    assert err.count("\n") == 1


def test_no_progress_and_no_colour_where_nobody_looks(tmp_path):
    root = draw_tree(tmp_path / "photos")
    (root / "val" / "images" / "a0.png").write_bytes(b"no image")
    done = subprocess.run(
        [sys.executable, "-m", "ssseg", "doctor", "photos"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "COLUMNS": "80"},
    )
    assert (done.returncode, done.stderr) == (1, "")
    assert "(val/images/a0.png)" in " ".join(done.stdout.split())
    assert done.stdout.endswith("training cannot start: 1 problem\n")
    assert "\x1b" not in done.stdout


def keys(value):
    """All keys of a document but those that are themselves data."""
    for key, inside in value.items():
        yield key
        if isinstance(inside, list) and inside and isinstance(inside[0], dict):
            yield from keys(inside[0])
        elif isinstance(inside, dict) and key not in ("channels", "formats"):
            yield from keys(inside)


def test_the_pages_name_every_key_and_every_kind(tmp_path):
    root = draw_tree(tmp_path / "photos")
    found = {"document": keys(ssseg.doctor(root=root, fix=tmp_path / "copy")), "checks": KINDS}
    for name, words in found.items():
        page = (DOCS / f"doctor-{name}.md").read_text(encoding="utf-8")
        for word in words:
            assert f"`{word}`" in page, word


def test_the_page_shows_what_camvid_gives(camvid, capsys):
    page = (DOCS / "doctor.md").read_text(encoding="utf-8")
    shown = re.findall(r"```\n\$ ssseg doctor camvid (.*?)\n(.*?)```", page, re.DOTALL)[0]
    assert main(["doctor", str(camvid), *shown[0].split()]) == 0
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    # the network's memory is torch's and timm's to change
    assert [line for line in lines if "GB" not in line] == [
        line for line in shown[1].splitlines() if "GB" not in line
    ]


def test_camvid(camvid, capsys):
    """Real photographs; the numbers are those of a plain loop."""
    assert main(["doctor", str(camvid), "--labeled", "1/8", "--json"]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    report = json.loads(captured.out)
    number = {name: numbers["images"] for name, numbers in report["sets"].items()}
    assert number == {"labeled": 46, "unlabeled": 321, "val": 101, "test": 233}
    assert report["findings"] == []
    masks = np.stack([read(path) for path in sorted((camvid / "val" / "masks").iterdir())])
    valid = (masks != 255).sum()
    for info in report["classes"]:
        assert info["val"]["share"] == pytest.approx((masks == info["id"]).sum() / valid)
    assert report["sets"]["val"]["ignored"] == pytest.approx((masks == 255).mean())
    assert report["proposal"]["crop_size"] == [352, 352]


def test_every_method_can_be_named(tmp_path):
    root = draw_tree(tmp_path / "photos")
    for name in METHODS:
        assert ssseg.doctor(root=root, method=name)["verdict"]["ok"], name


def test_a_finding_says_which_file(tmp_path, capsys):
    """Paths are those inside the data set, for one file as for many."""
    root = draw_tree(tmp_path / "photos", unlabeled=9)
    for i in range(5):
        (root / "unlabeled" / f"u{i}.png").write_bytes(b"")
    _, report = examined(capsys, root)
    found = finding(report, "image_empty")
    assert found["files"] == [f"unlabeled/u{i}.png" for i in range(5)]
    names = "unlabeled/u0.png, unlabeled/u1.png, unlabeled/u2.png and 2 more"
    assert found["text"].startswith(f"5 image files are empty ({names})")
