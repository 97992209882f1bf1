"""No validation image goes through a network in other sizes or numbers than was asked for."""

import pytest
import torch

import ssseg
import ssseg.cli.main
from ssseg.cli.preflight import preflight
from ssseg.errors import UserError
from ssseg.evaluation import inference
from ssseg.models import Segmenter
from ssseg.training.memory import Peak, memory_of_validation
from ssseg.types import Labeled
from tests.conftest import make_data, make_module, make_trainer
from tests.data.trees import draw_tree

SMALL = {"depth": 3, "encoder_options": {"channels": [8, 8, 8, 8]}}


@pytest.fixture
def seen(monkeypatch):
    """Sizes of what networks see, with how many of them at once."""
    found, encode = [], Segmenter.encode

    def watch(self, image):
        if image.device.type != "meta":
            found.append((len(image), *image.shape[-2:]))
        return encode(self, image)

    monkeypatch.setattr(Segmenter, "encode", watch)
    return found


def test_sample_pictures_are_made_by_windows_where_images_are_scored_by_windows(
    tmp_path, monkeypatch, seen
):
    monkeypatch.chdir(tmp_path)
    args = ["fit", "--method", "supervised", "--out", "run", "--trainer.max_steps", "1"]
    args += ["--data.train_images", "4", "--data.val_images", "5", "--data.size", "48"]
    args += ["--data.labeled", "4", "--data.batch_size", "2", "--data.crop_size", "[16, 16]"]
    args += ["--data.val_batch_size", "1", "--eval.mode", "slide", "--eval.batch_size", "1"]
    assert ssseg.cli.main.main([*args, "--trainer.accelerator", "cpu"]) == 0
    assert set(seen) == {(2, 16, 16), (1, 16, 16)}
    # 16 windows of 5 images that are scored, and of 4 that are shown, once
    assert seen.count((1, 16, 16)) == 16 * (5 + 4)
    assert len(list((tmp_path / "run" / "samples" / "tiles").iterdir())) == 3 * 4


@pytest.mark.parametrize("mode", ["whole", "slide"])
def test_large_images_of_a_batch_go_one_by_one_with_the_same_scores(
    tmp_path, monkeypatch, seen, mode
):
    data = make_data(val_batch_size=6)
    data.prepare("fit", 2)
    network = make_module().method.student
    scores = []
    for pixels in (2**21, 2 * 32 * 32, 1):
        monkeypatch.setattr(inference, "PIXELS", pixels)
        module = make_module(network=network)
        module.inference = inference.Inference(mode, (24, 32), batch_size=3)
        seen.clear()
        trainer = make_trainer(1, tmp_path)
        trainer.validate(module, datamodule=data, verbose=False)
        scores.append(module.scores["student"])
        at_once = {2**21: 6 if mode == "whole" else 3, 2 * 32 * 32: 2, 1: 1}[pixels]
        if mode == "whole":
            assert {number for number, *_ in seen} == {at_once}
        else:
            assert max(number for number, *_ in seen) <= 3
    assert scores[0] == scores[1] == scores[2]


def test_predictions_of_parts_come_back_as_one_batch(tmp_path, monkeypatch):
    monkeypatch.setattr(inference, "PIXELS", 1)
    module = make_module("supervised").eval()
    make_trainer(1, tmp_path).strategy.connect(module)
    module.trainer = make_trainer(1, tmp_path)
    image = torch.randn(3, 3, 24, 32)
    with torch.no_grad():
        batch = [Labeled(image, torch.zeros(3, 24, 32, dtype=torch.int64))]
        (predicted,) = module.validation_step(batch, 0)["predicted"]
        assert torch.equal(predicted, module(image).argmax(1))


def test_what_the_network_sees_of_an_image():
    make = inference.Inference
    assert make().inputs((90, 70)) == {(90, 70)}
    assert make(scales=(0.5, 1.0), flip=True).inputs((90, 70)) == {(45, 35), (90, 70)}
    assert make("slide", (64, 64), scales=(0.5, 2.0)).inputs((90, 70)) == {(45, 35), (64, 64)}
    assert make().images_at_once((1000, 1500)) == 1
    assert make().images_at_once((360, 480)) == 12
    assert make(scales=(2.0,)).images_at_once((360, 480)) == 3
    assert make("slide", batch_size=8).images_at_once((64, 64)) == 8


def test_memory_of_a_validation_is_what_its_tensors_hold():
    network = {"decoder": "unet", **SMALL}
    kind = {"num_classes": 5, "in_channels": 3}
    counted = memory_of_validation(network, (96, 160), images=1, batch=4, **kind)
    model = Segmenter(5, **network).eval()
    image = torch.randn(1, 3, 96, 160)
    with torch.no_grad(), Peak() as peak:
        model(image).argmax(1)
    assert peak.held < peak.most / 10, "what is gone is not held"
    batch = 4 * 96 * 160 * (3 * 4 + 8)
    assert counted == pytest.approx(peak.most + batch, rel=0.03)
    assert memory_of_validation(network, (96, 160), images=3, batch=4, **kind) == pytest.approx(
        3 * (counted - batch) + batch
    )


def test_the_doctor_counts_the_validation(tmp_path, capsys):
    root = draw_tree(tmp_path / "photos", val=2, size=(320, 480))
    report = ssseg.doctor(root=root, network="small", batch_size=1, method="supervised")
    memory = report["estimate"]["memory"]
    validation = memory["validation"]
    assert (validation["size"], validation["images"]) == ([320, 480], 2)
    assert validation["bytes"] > memory["weights"]
    assert ssseg.cli.main.main(["doctor", str(root), "--network", "small"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "GB for 2 whole images of 480 x 320 in validation" in said


def test_a_validation_that_needs_more_than_there_is(tmp_path, monkeypatch):
    root = draw_tree(tmp_path / "photos", size=(256, 256))
    args = ["fit", "--method", "supervised", "--data", "folder", "--data.root", str(root)]
    args += ["--network", "small", "--data.crop_size", "[32, 32]", "--data.batch_size", "2"]
    args += ["--data.num_workers", "0", "--trainer.accelerator", "cpu"]
    needed = preflight(args)["memory"]
    assert needed > 1.3 * preflight([*args, "--eval.mode", "slide"])["memory"]
    monkeypatch.setattr("ssseg.training.memory.machine_memory", lambda: int(0.9 * needed))
    with pytest.raises(UserError, match=r"the validation needs at least .* give --eval\.mode"):
        preflight(args, at_once=1)
