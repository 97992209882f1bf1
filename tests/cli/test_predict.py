"""A trained model on images as people have them, in Python and from the command line."""

import json
import os
import pickle
import subprocess
import sys

import numpy as np
import pytest
import tifffile
import torch
import torch.nn.functional as F
from PIL import Image

import ssseg
import ssseg.prediction.predictor as predictor
from ssseg.cli.main import main
from ssseg.data.datasets import Street
from ssseg.data.datasets.base import ClassInfo
from ssseg.data.info import DataInfo
from ssseg.data.objects import pixels_of
from ssseg.data.torch_datasets import resize_image
from ssseg.data.transforms import Normalize
from ssseg.errors import UserError
from ssseg.prediction.model_file import save_weights
from ssseg.serialization import to_plain

TINY = {"train_images": 12, "val_images": 4, "size": 32, "labeled": 8, "batch_size": 4}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("predict") / "run"
    return ssseg.fit("classmix", out=folder, max_steps=3, trainer={"accelerator": "cpu"}, **TINY)


@pytest.fixture(scope="module")
def model(run):
    return ssseg.load(run.checkpoint())


@pytest.fixture(scope="module")
def photo():
    """A street larger than those of training, of odd size."""
    scene = Street(size=96).read_image(Street(size=96).records("val")[0])
    return np.ascontiguousarray(scene[:61, :87])


def expected(model, pixels):
    """Class ids by the network itself."""
    image = Normalize(model.data.mean, model.data.std)(pixels)[None]
    return model(image)[0].argmax(0).numpy()


def test_a_path_a_picture_an_array_and_a_tensor_are_one(model, photo, tmp_path):
    Image.fromarray(photo).save(tmp_path / "a.png")
    chw = torch.from_numpy(photo).movedim(-1, 0)
    answers = [
        model.predict(image)
        for image in (
            tmp_path / "a.png",
            str(tmp_path / "a.png"),
            Image.fromarray(photo),
            photo,
            chw,
            chw.float() / 255,
        )
    ]
    for found in answers:
        assert found.label.dtype == np.uint8
        np.testing.assert_array_equal(found.label, expected(model, photo))
    probs = model(Normalize(model.data.mean, model.data.std)(photo)[None]).softmax(1)[0]
    np.testing.assert_allclose(answers[0].confidence, probs.amax(0), atol=1e-3)


def test_modes(model, photo):
    whole = model.predict(photo)
    same = model.predict(photo, "slide", window=photo.shape[:2])
    np.testing.assert_array_equal(whole.label, same.label)
    for options in ({"flip": True}, {"scales": (0.5, 1, 1.5)}, {"window": (32, 32)}):
        mode = "slide" if "window" in options else "whole"
        found = model.predict(photo, mode, **options)
        assert found.label.shape == photo.shape[:2]
        assert found.confidence.min() >= 0
        assert found.confidence.max() <= 1


def test_the_size_of_training_is_kept_and_answers_have_the_image_s_own(
    tmp_path, photo, monkeypatch
):
    run = ssseg.fit(
        "supervised",
        out=tmp_path / "run",
        max_steps=1,
        trainer={"accelerator": "cpu"},
        image_size=[24, 24],
        crop_size=[24, 24],
        **TINY,
    )
    small = ssseg.load(run.checkpoint())
    seen = []
    forward = small.network.forward
    small.network.forward = lambda image: seen.append(image.shape) or forward(image)
    found = small.predict(photo)
    assert seen == [(1, 3, 24, 24)]
    image = Normalize(small.data.mean, small.data.std)(resize_image(photo, (24, 24)))[None]
    size = photo.shape[:2]
    probs = F.interpolate(small(image).softmax(1), size, mode="bilinear", align_corners=False)
    np.testing.assert_array_equal(found.label, probs[0].argmax(0))
    monkeypatch.setattr(predictor, "TILE", 40)  # a large image: close to the same
    large = small.predict(photo)
    assert (large.label == found.label).mean() > 0.85
    np.testing.assert_allclose(large.confidence, found.confidence, atol=0.05)


def test_student_and_teacher(run, photo):
    saved = torch.load(run.checkpoint(), weights_only=True)["state_dict"]
    student, teacher = ssseg.load(run.checkpoint(), "student"), ssseg.load(run.checkpoint())
    assert (student.name, teacher.name) == ("student", "teacher")
    for model, prefix in ((student, "method.student."), (teacher, "method.teacher.module.")):
        for name, tensor in model.network.state_dict().items():
            assert torch.equal(tensor, saved[prefix + name])
    assert not student.network.training
    assert not student.train().network.training


def test_what_a_model_says_of_itself(model, run):
    about = model.about
    assert [c.name for c in model.classes][:3] == ["sky", "building", "road"]
    assert model.classes[0].color == (70, 130, 180)
    assert about["data"]["split_hash"] == run.summary["data"]["split_hash"]
    assert about["data"]["split"] == run.summary["data"]["split"]
    assert about["scores"]["teacher"]["miou"] == run.summary["last"]["teacher"]["miou"]
    assert about["method"]["class_path"] == "ssseg.methods.classmix.ClassMix"
    assert about["version"] == ssseg.__version__


VERSION_0_1 = {
    "name": "photos",
    "classes": [{"name": "road", "color": [128, 64, 128]}, {"name": "car", "color": [0, 0, 142]}],
    "in_channels": 3,
    "pixels": "uint8",
    "mean": [0.485, 0.456, 0.406],
    "std": [0.229, 0.224, 0.225],
    "image_size": None,
    "crop_size": [64, 64],
    "split": "1/8 seed 0",
    "split_hash": "4e773e9c0bfd",
}
"""What checkpoints of version 0.1 hold under `data`."""


@pytest.mark.parametrize("size", [None, [48, 96]])
def test_the_data_of_a_file_of_before_are_read(size):
    saved = {**VERSION_0_1, "image_size": size}
    data = DataInfo.from_plain(saved)
    assert data.classes[1] == ClassInfo("car", (0, 0, 142))
    assert (data.mean, data.crop_size) == ((0.485, 0.456, 0.406), (64, 64))
    assert json.loads(json.dumps(to_plain(data))) == saved
    assert DataInfo.from_plain(json.loads(json.dumps(to_plain(data)))) == data


@pytest.mark.parametrize("field", VERSION_0_1)
def test_a_file_without_a_field_of_its_data_is_refused(run, tmp_path, field):
    saved = torch.load(run.checkpoint(), weights_only=True)
    del saved["ssseg"]["data"][field]
    torch.save(saved, tmp_path / "m.ckpt")
    with pytest.raises(UserError, match=rf"m\.ckpt says too little .*'{field}'"):
        ssseg.load(tmp_path / "m.ckpt")


def test_a_plain_weight_file_is_the_same_model(model, photo, tmp_path):
    save_weights(model, tmp_path / "model.safetensors")
    twin = ssseg.load(tmp_path / "model.safetensors")
    assert (twin.name, twin.classes) == (model.name, model.classes)
    np.testing.assert_array_equal(twin.predict(photo).label, model.predict(photo).label)
    with pytest.raises(UserError, match=r"unknown network in .* 'student'"):
        ssseg.load(tmp_path / "model.safetensors", "student")


def test_parts_cover_an_image_once_and_see_around_themselves(monkeypatch):
    monkeypatch.setattr(predictor, "TILE", 40)
    monkeypatch.setattr(predictor, "MARGIN", 8)
    for height, width in ((100, 90), (41, 41), (5, 2000), (39, 40)):
        seen = np.zeros((height, width), int)
        for core, around in predictor.parts_of(height, width):
            seen[core] += 1
            if height * width > 1600:
                assert all(s.stop - s.start <= 40 for s in around)
            for inner, outer, side in zip(core, around, (height, width), strict=True):
                assert inner.start - outer.start == min(8, inner.start) or height * width <= 1600
                assert outer.stop - inner.stop == min(8, side - inner.stop)
        assert (seen == 1).all()


def test_a_large_image_in_parts_is_the_whole_where_the_network_sees_less_than_the_margin(
    model, monkeypatch
):
    kernel = torch.randn(8, 3, 5, 5, generator=torch.Generator().manual_seed(0))
    network = torch.nn.Conv2d(3, 8, 5, padding=2)
    network.weight.data = kernel
    model = predictor.Predictor(network, model.data, "student")
    image = np.random.default_rng(0).integers(0, 256, (150, 131, 3), np.uint8)
    whole = model.predict(image)
    monkeypatch.setattr(predictor, "TILE", 40)
    monkeypatch.setattr(predictor, "MARGIN", 8)
    parts = model.predict(image)
    np.testing.assert_array_equal(whole.label, parts.label)
    np.testing.assert_allclose(whole.confidence, parts.confidence, atol=2e-3)


@pytest.mark.parametrize(
    ("image", "words"),
    [
        ("no/such.png", r"there is no image no/such\.png"),
        (np.zeros((5, 5, 2), np.uint8), r"shape \(5, 5, 2\); expected .* 3 channels"),
        (np.zeros(5, np.uint8), r"shape \(5,\)"),
        (np.zeros((5, 5, 3), np.int64), r"holds int64, but the model was trained on uint8"),
        (torch.zeros(7, 5, 5), r"shape \(5, 5, 7\)"),
    ],
)
def test_images_of_another_kind(model, image, words):
    with pytest.raises(UserError, match=words):
        model.predict(image)


def grey16(mode):
    """The grey street of 16 bits as Pillow has it, which it would clip to 8."""
    values = np.full((5, 5), 300 * 100, np.uint16)
    return Image.fromarray(values if mode == "I;16" else values.astype(np.int32))


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (grey16("I;16"), "holds uint16, but the model was trained on uint8"),
        (grey16("I"), "holds int32, but the model was trained on uint8"),
        (Image.fromarray(np.full((5, 5), 7, np.float32)), "floats from 7 to 7, .* from 0 to 1"),
        (torch.full((3, 5, 5), 255.0), "floats from 255 to 255, .* divide its values by 255"),
        (np.linspace(-2, 2.6, 75).reshape(5, 5, 3), "floats from -2 to 2.6"),
        (np.where(np.eye(5)[..., None], np.nan, np.zeros(3)), "no numbers"),
        (np.zeros((5, 5, 3), bool), "holds bool"),
    ],
    ids=lambda value: getattr(value, "mode", None),
)
def test_objects_are_as_strict_as_files(model, image, words):
    with pytest.raises(UserError, match=words):
        model.predict(image)


def test_pictures_of_more_than_8_bits(photo):
    """One picture of 16 bits, in all the forms that it may come in."""
    deep = photo[..., 0].astype(np.uint16) * 257
    wanted = (deep / 65535).astype(np.float32)[..., None]
    for image in (
        deep,
        Image.fromarray(deep),
        Image.fromarray(deep.astype(np.int32)),
        Image.fromarray(wanted[..., 0]),
        torch.from_numpy(deep.astype(np.float64) / 65535),
    ):
        np.testing.assert_allclose(pixels_of(image, 1, "uint16"), wanted, atol=1e-6)
    for image in (deep.astype(np.int32), deep.astype(np.float64)):
        found = pixels_of(image, 1, "float")
        np.testing.assert_array_equal(found[..., 0], deep.astype(np.float32))
    for image in (deep, photo[..., 0]):
        with pytest.raises(UserError, match="but the model was trained on float"):
            pixels_of(image, 1, "float")


class TestCommand:
    @pytest.fixture
    def photos(self, tmp_path, photo):
        folder = tmp_path / "photos"
        for name in ("a.png", "deep/er/b ü.jpg", "deep/c.bmp"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(photo).save(folder / name)
        return folder

    def predict(self, run, *args):
        return main(["predict", str(run.checkpoint()), *map(str, args), "--device", "cpu"])

    def test_a_folder_keeps_its_structure(self, run, model, photos, tmp_path, capsys):
        out = tmp_path / "out"
        assert self.predict(run, photos, "--out", out, "--overlay", "--confidence") == 0
        assert "3 of 3 images predicted by the teacher" in capsys.readouterr().out
        names = sorted(str(path.relative_to(out)) for path in out.rglob("*") if path.is_file())
        stems = ["a", "deep/c", "deep/er/b ü"]
        kinds = [".png", "_confidence.png", "_overlay.jpg"]
        assert names == sorted(stem + kind for stem in stems for kind in kinds)
        indexed = Image.open(out / "a.png")
        assert indexed.mode == "P"
        found = model.predict(photos / "a.png")
        np.testing.assert_array_equal(np.array(indexed), found.label)
        colors = np.array(indexed.convert("RGB"))
        for c, info in enumerate(model.classes):
            assert (colors[found.label == c] == info.color).all()
        grey = np.array(Image.open(out / "a_confidence.png"))
        np.testing.assert_allclose(grey, 255 * found.confidence.astype(float), atol=1.5)
        assert Image.open(out / "a_overlay.jpg").size == indexed.size

    def test_student_modes_and_single_files(self, run, photos, photo, tmp_path):
        args = ["--student", "--mode", "slide", "--window", "32", "32", "--flip"]
        assert self.predict(run, photos / "a.png", "--out", tmp_path / "out", *args) == 0
        student = ssseg.load(run.checkpoint(), "student")
        found = student.predict(photo, "slide", window=(32, 32), flip=True)
        np.testing.assert_array_equal(np.array(Image.open(tmp_path / "out" / "a.png")), found.label)

    def test_a_broken_image_does_not_stop_the_others(self, run, photos, tmp_path, capsys):
        (photos / "broken.jpg").write_bytes(b"no image")
        assert self.predict(run, photos, "--out", tmp_path / "out") == 1
        said = capsys.readouterr()
        assert "broken.jpg cannot be read as an image" in said.err
        assert "3 of 4 images" in said.out

    def test_results_inside_the_photographs_are_no_photographs(self, run, photos, capsys):
        for _ in range(2):
            args = ["--out", photos / "predictions", "--overlay", "--confidence"]
            assert self.predict(run, photos, *args) == 0
            assert "3 of 3 images predicted" in capsys.readouterr().out
        (photos / "predictions" / "mine.png").write_bytes((photos / "a.png").read_bytes())
        assert self.predict(run, photos, *args) == 0
        assert "4 of 4 images predicted" in capsys.readouterr().out

    @pytest.mark.parametrize(
        ("names", "image", "options", "words"),
        [
            (["a_overlay.jpg"], "a.bmp", ["--overlay"], "a_overlay.jpg exists and is no result"),
            (["a_confidence.jpg"], "", ["--confidence"], "would both become a_confidence.png"),
            (["a_overlay.jpg"], "", ["--overlay"], "a_overlay.jpg is one of the images"),
            (["b.txt"], "a.bmp", ["--out", "{photos}/b.txt"], "b.txt is a file; give a folder"),
        ],
    )
    def test_nothing_of_the_user_s_is_replaced(
        self, run, tmp_path, photo, capsys, monkeypatch, names, image, options, words
    ):
        """Found out before any work: the model is not even read."""
        photos = tmp_path / "photos"
        photos.mkdir()
        picture = Image.fromarray(photo)
        picture.save(photos / "a.bmp")
        for name in names:
            picture.save(photos / name, "jpeg")
        before = {path: path.read_bytes() for path in photos.iterdir()}
        out = tmp_path / "out" if "both" in words else photos
        args = [str(photos / image), "--out", str(out)]
        args += [option.format(photos=photos) for option in options]
        assert main(["predict", "no-such.ckpt", *args]) == 2
        assert words in capsys.readouterr().err
        assert {p.read_bytes() for p in photos.iterdir()} == set(before.values())
        assert not (tmp_path / "out").exists()

    @pytest.mark.parametrize(
        ("args", "words"),
        [
            (["nowhere"], "there is no image or folder nowhere"),
            (["{photos}/deep/er", "{photos}/a.png", "{photos}"], "would both become a.png"),
            (["{empty}"], "there are no images in"),
            (["{photos}", "--out", "{photos}"], "would be overwritten; give another folder"),
            (["{photos}", "--mode", "window"], "invalid choice: 'window'"),
            (["{photos}", "--window", "0", "5"], "eval.window is [0, 5]"),
            (["{photos}", "--student", "--teacher"], "not allowed with"),
            ([], "required: images"),
        ],
    )
    def test_bad_input(self, run, photos, tmp_path, capsys, args, words):
        (tmp_path / "empty").mkdir()
        args = [a.format(photos=photos, empty=tmp_path / "empty") for a in args]
        assert self.predict(run, *args) == 2
        said = capsys.readouterr().err
        assert words in said
        assert said.count("\n") == 1


class TestForeignFiles:
    """Somebody else's file never runs code, and is called what it is."""

    @pytest.mark.parametrize("ending", ["ckpt", "safetensors"])
    def test_random_bytes(self, tmp_path, ending):
        path = tmp_path / f"model.{ending}"
        path.write_bytes(os.urandom(5000))
        with pytest.raises(UserError, match=rf"model\.{ending} is not a"):
            ssseg.load(path)

    @pytest.mark.parametrize("ending", ["ckpt", "safetensors"])
    @pytest.mark.parametrize("pack", ["pickle", "torch"])
    def test_a_pickle_that_would_run_code(self, tmp_path, ending, pack):
        path, trace = tmp_path / f"model.{ending}", tmp_path / "it ran"

        class Bomb:
            def __reduce__(self):
                return os.system, (f"touch '{trace}'",)

        if pack == "pickle":
            path.write_bytes(pickle.dumps({"ssseg": Bomb(), "state_dict": {}}))
        else:
            torch.save({"ssseg": Bomb(), "state_dict": {}}, path)
        with pytest.raises(UserError, match="is not a"):
            ssseg.load(path)
        assert not trace.exists()

    @pytest.mark.parametrize(
        ("path", "words"),
        [
            ("subprocess.Popen", "which is no Segmenter"),
            ("ssseg.runs.run.Run", "which is no Segmenter"),
            ("somebody.elses.Network", "which is not of ssseg; import 'somebody.elses' first"),
        ],
    )
    def test_a_recipe_that_would_run_code(self, run, model, tmp_path, path, words):
        """Plain data too can name a program: nothing but networks is ever made of it."""
        from safetensors.torch import save_file

        trace = tmp_path / "it ran"
        recipe = {"class_path": path, "init_args": {"args": ["touch", str(trace)]}}
        saved = torch.load(run.checkpoint(), weights_only=True)
        saved["ssseg"].update(network=recipe, method=recipe)
        torch.save(saved, tmp_path / "m.ckpt")
        about = json.dumps({**model.about, "network": recipe, "saved": "teacher"})
        save_file({"weight": torch.ones(2)}, tmp_path / "m.safetensors", {"ssseg": about})
        for name in ("m.ckpt", "m.safetensors"):
            with pytest.raises(UserError, match=words):
                ssseg.load(tmp_path / name)
        assert not trace.exists()

    @pytest.mark.parametrize("about", [{}, {"networks": {"a": "b"}}, 3, {"networks": {"a": 1}}])
    def test_a_checkpoint_that_says_too_little(self, tmp_path, about):
        torch.save({"ssseg": about, "state_dict": {}}, tmp_path / "m.ckpt")
        with pytest.raises(UserError, match=r"m\.ckpt says too little"):
            ssseg.load(tmp_path / "m.ckpt")

    def test_a_method_in_a_file_is_never_made(self, run, tmp_path):
        saved = torch.load(run.checkpoint(), weights_only=True)
        trace = tmp_path / "it ran"
        saved["ssseg"]["method"] = {
            "class_path": "subprocess.Popen",
            "init_args": {"args": ["touch", str(trace)]},
        }
        torch.save(saved, tmp_path / "m.ckpt")
        assert ssseg.load(tmp_path / "m.ckpt").name == "teacher"
        assert not trace.exists()

    def test_a_checkpoint_of_another_library(self, tmp_path):
        torch.save({"state_dict": {"weight": torch.ones(2)}, "epoch": 3}, tmp_path / "other.ckpt")
        with pytest.raises(UserError, match="is not a checkpoint of ssseg"):
            ssseg.load(tmp_path / "other.ckpt")

    def test_weights_of_another_library(self, tmp_path):
        from safetensors.torch import save_file

        save_file({"weight": torch.ones(2)}, tmp_path / "other.safetensors")
        with pytest.raises(UserError, match="holds weights, but not of a model of ssseg"):
            ssseg.load(tmp_path / "other.safetensors")

    def test_weights_that_do_not_fit_their_description(self, model, tmp_path):
        from safetensors.torch import save_file

        about = json.dumps({**model.about, "saved": "teacher"})
        save_file({"weight": torch.ones(2)}, tmp_path / "m.safetensors", {"ssseg": about})
        with pytest.raises(UserError, match="does not hold what it says"):
            ssseg.load(tmp_path / "m.safetensors")

    def test_a_missing_file(self, tmp_path):
        for name in ("a.ckpt", "a.safetensors"):
            with pytest.raises(UserError, match="there is no"):
                ssseg.load(tmp_path / name)


MEASURE = """
import resource, sys
from ssseg.cli.main import main
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
assert main(["predict", sys.argv[1], sys.argv[2], "--out", "warm", "--device", "cpu"]) == 0
before = peak()
assert main(["predict", sys.argv[1], sys.argv[3], "--out", "out", "--device", "cpu"]) == 0
print("growth", peak() - before)
"""


def growth(run, tmp_path, warm, images):
    """MB that predicting images adds to the memory of a process that has predicted before."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(run.checkpoint()), str(warm), str(images)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    return float(done.stdout.split()[-1])


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_images(run, photo, tmp_path):
    for folder, count in (("few", 5), ("many", 200)):
        (tmp_path / folder).mkdir()
        for i in range(count):
            Image.fromarray(photo).save(tmp_path / folder / f"{i}.png")
    assert growth(run, tmp_path, tmp_path / "few", tmp_path / "many") < 30


@pytest.mark.slow
def test_memory_of_one_huge_image(run, photo, tmp_path):
    """10,000 x 10,000: beside its own 0.3 GB and the answer's 0.3 GB, no more than a part takes."""
    rows, columns = -(-10_000 // photo.shape[0]), -(-10_000 // photo.shape[1])
    huge = np.tile(photo, (rows, columns, 1))[:10_000, :10_000]
    tifffile.imwrite(tmp_path / "huge.tif", huge, photometric="rgb")
    tile = huge[:2048, :2048]
    Image.fromarray(tile).save(tmp_path / "tile.png")
    assert growth(run, tmp_path, tmp_path / "tile.png", tmp_path / "huge.tif") < 1500
    found = Image.open(tmp_path / "out" / "huge.png")
    assert found.size == (10_000, 10_000)
