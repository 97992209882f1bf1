"""A trained model from the command line."""

import os
import subprocess
import sys

import numpy as np
import pytest
import tifffile
from PIL import Image

import ssseg
from ssseg.cli.main import main


class TestCommand:
    @pytest.fixture
    def photos(self, tmp_path, street_photo):
        folder = tmp_path / "photos"
        for name in ("a.png", "deep/er/b ü.jpg", "deep/c.bmp"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(street_photo).save(folder / name)
        return folder

    def predict(self, run, *args):
        return main(["predict", str(run.checkpoint()), *map(str, args), "--device", "cpu"])

    def test_a_folder_keeps_its_structure(self, street_run, street_model, photos, tmp_path, capsys):
        out = tmp_path / "out"
        assert self.predict(street_run, photos, "--out", out, "--overlay", "--confidence") == 0
        assert "3 of 3 images predicted by the teacher" in capsys.readouterr().out
        names = sorted(str(path.relative_to(out)) for path in out.rglob("*") if path.is_file())
        stems = ["a", "deep/c", "deep/er/b ü"]
        kinds = [".png", "_confidence.png", "_overlay.jpg"]
        assert names == sorted(stem + kind for stem in stems for kind in kinds)
        indexed = Image.open(out / "a.png")
        assert indexed.mode == "P"
        found = street_model.predict(photos / "a.png")
        np.testing.assert_array_equal(np.array(indexed), found.label)
        colors = np.array(indexed.convert("RGB"))
        for c, info in enumerate(street_model.classes):
            assert (colors[found.label == c] == info.color).all()
        grey = np.array(Image.open(out / "a_confidence.png"))
        np.testing.assert_allclose(grey, 255 * found.confidence.astype(float), atol=1.5)
        assert Image.open(out / "a_overlay.jpg").size == indexed.size

    def test_student_modes_and_single_files(self, street_run, photos, street_photo, tmp_path):
        args = ["--student", "--mode", "slide", "--window", "32", "32", "--flip"]
        assert self.predict(street_run, photos / "a.png", "--out", tmp_path / "out", *args) == 0
        student = ssseg.load(street_run.checkpoint(), "student")
        found = student.predict(street_photo, "slide", window=(32, 32), flip=True)
        np.testing.assert_array_equal(np.array(Image.open(tmp_path / "out" / "a.png")), found.label)

    def test_a_broken_image_does_not_stop_the_others(self, street_run, photos, tmp_path, capsys):
        (photos / "broken.jpg").write_bytes(b"no image")
        assert self.predict(street_run, photos, "--out", tmp_path / "out") == 1
        said = capsys.readouterr()
        assert "broken.jpg cannot be read as an image" in said.err
        assert "3 of 4 images" in said.out

    def test_results_inside_the_photographs_are_no_photographs(self, street_run, photos, capsys):
        for _ in range(2):
            args = ["--out", photos / "predictions", "--overlay", "--confidence"]
            assert self.predict(street_run, photos, *args) == 0
            assert "3 of 3 images predicted" in capsys.readouterr().out
        (photos / "predictions" / "mine.png").write_bytes((photos / "a.png").read_bytes())
        assert self.predict(street_run, photos, *args) == 0
        assert "4 of 4 images predicted" in capsys.readouterr().out

    @pytest.mark.parametrize(
        ("names", "image", "options", "words"),
        [
            (["a_overlay.jpg"], "a.bmp", ["--overlay"], "a_overlay.jpg exists and is not a result"),
            (
                ["a_confidence.jpg"],
                "",
                ["--confidence"],
                "both be written to a_confidence.png",
            ),
            (["a_overlay.jpg"], "", ["--overlay"], "a_overlay.jpg is one of the images"),
            (["b.txt"], "a.bmp", ["--out", "{photos}/b.txt"], "b.txt is a file; give a folder"),
        ],
    )
    def test_nothing_of_the_user_s_is_replaced(
        self, street_run, tmp_path, street_photo, capsys, monkeypatch, names, image, options, words
    ):
        """Found out before any work: the model is not even read."""
        photos = tmp_path / "photos"
        photos.mkdir()
        picture = Image.fromarray(street_photo)
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
            (["{photos}/deep/er", "{photos}/a.png", "{photos}"], "would both be written to a.png"),
            (["{empty}"], "there are no images in"),
            (["{photos}", "--out", "{photos}"], "would be overwritten; give another folder"),
            (["{photos}", "--mode", "window"], "invalid choice: 'window'"),
            (["{photos}", "--window", "0", "5"], "eval.window is [0, 5]"),
            (["{photos}", "--student", "--teacher"], "not allowed with"),
            ([], "required: images"),
        ],
    )
    def test_bad_input(self, street_run, photos, tmp_path, capsys, args, words):
        (tmp_path / "empty").mkdir()
        args = [a.format(photos=photos, empty=tmp_path / "empty") for a in args]
        assert self.predict(street_run, *args) == 2
        said = capsys.readouterr().err
        assert words in said
        assert said.count("\n") == 1


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
def test_memory_does_not_grow_with_the_number_of_images(street_run, street_photo, tmp_path):
    for folder, count in (("few", 5), ("many", 200)):
        (tmp_path / folder).mkdir()
        for i in range(count):
            Image.fromarray(street_photo).save(tmp_path / folder / f"{i}.png")
    assert growth(street_run, tmp_path, tmp_path / "few", tmp_path / "many") < 30


@pytest.mark.slow
def test_memory_of_one_huge_image(street_run, street_photo, tmp_path):
    """10,000 x 10,000: beside its own 0.3 GB and the answer's 0.3 GB, no more than a part takes."""
    rows, columns = -(-10_000 // street_photo.shape[0]), -(-10_000 // street_photo.shape[1])
    huge = np.tile(street_photo, (rows, columns, 1))[:10_000, :10_000]
    tifffile.imwrite(tmp_path / "huge.tif", huge, photometric="rgb")
    tile = huge[:2048, :2048]
    Image.fromarray(tile).save(tmp_path / "tile.png")
    assert growth(street_run, tmp_path, tmp_path / "tile.png", tmp_path / "huge.tif") < 1500
    found = Image.open(tmp_path / "out" / "huge.png")
    assert found.size == (10_000, 10_000)
