import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import ssseg
from ssseg.cli.main import main
from ssseg.exporting import export as export_module

pytest.importorskip("onnxscript")


def test_on_the_command_line(small_run, capsys):
    checkpoint = small_run.checkpoint("best")
    assert main(["export", str(checkpoint), "--format", "safetensors"]) == 0
    out = capsys.readouterr().out
    assert "checked  on 2 of 2 validation images of street" in out
    assert "100.000 % of pixels get the same class" in out
    assert "best_teacher.safetensors (safetensors, teacher" in out
    exported = checkpoint.with_name("best_teacher.safetensors")
    assert main(["export", str(exported), "--out", str(small_run.folder / "again.pt2")]) == 0
    assert "(torch, teacher" in capsys.readouterr().out
    assert sorted(path.name for path in small_run.folder.glob("*.pt2")) == ["again.pt2"]


def test_the_options_are_listed_without_torch():
    code = (
        "import sys; from ssseg.cli.main import main\n"
        "try: main(['export', '--help'])\n"
        "except SystemExit: pass\n"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False"
    assert "--opset" in done.stdout


def test_given_images_are_the_ones_compared_on(bare_checkpoint, capsys):
    folder = bare_checkpoint.parent / "photos" / "deeper"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number in range(3):
        pixels = rng.integers(0, 256, (30 + number, 41, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    args = [
        "export",
        str(bare_checkpoint),
        "--format",
        "safetensors",
        "--images",
        str(folder.parent),
    ]
    assert main([*args, str(folder / "1.png")]) == 0
    assert "checked  on 4 images (" in capsys.readouterr().out


def test_without_the_packages_the_command_to_install_them_is_said(small_run, monkeypatch, capfd):
    monkeypatch.setattr("ssseg.exporting.formats.find_spec", lambda name: None)
    assert main(["export", str(small_run.checkpoint())]) == 2
    err = capfd.readouterr().err
    assert "format onnx needs onnx, onnxruntime, onnxscript" in err
    assert "pip install 'ssseg[onnx]'" in err


BAD = [
    (["--format", "onxx"], "unknown format 'onxx'; did you mean 'onnx'"),
    (["--format", "torch", "--opset", "18"], "--opset is for --format onnx"),
    (["--opset", "7"], "option --opset is 7; expected 18 to"),
    (["--opset", "many"], "invalid int value: 'many'"),
    (["--format", "torch", "--out", "m.onnx"], "files of format torch end in .pt2"),
    (["--out", "model"], "files of format onnx end in .onnx"),
    (["--out", "there.onnx"], "there.onnx exists"),
    (["--out", "there.onnx/m.pt2"], "there.onnx/m.pt2 cannot be written"),
    (["--network", "techer"], "did you mean 'teacher'"),
    (["--format", "torch", "--images", "nowhere"], "there is no image or folder nowhere"),
    (["--format", "torch", "--images", "empty"], "there are no images in empty"),
    (["--images", "there.onnx", "--out", "m.safetensors"], "cannot be read as an image"),
    (["--frmat", "onnx"], "unrecognized arguments: --frmat onnx"),
]


@pytest.mark.parametrize(("args", "complaint"), BAD, ids=lambda value: str(value)[:50])
def test_bad_input_is_one_sentence_and_leaves_nothing(
    bare_checkpoint, monkeypatch, capfd, args, complaint
):
    here = bare_checkpoint.parent
    monkeypatch.chdir(here)
    (here / "empty").mkdir()
    (here / "there.onnx").write_text("precious")
    assert main(["export", "model.ckpt", *args]) == 2
    err = capfd.readouterr().err
    assert complaint in err
    assert len(err.splitlines()) == 1
    assert sorted(path.name for path in here.iterdir()) == ["empty", "model.ckpt", "there.onnx"]
    assert (here / "there.onnx").read_text() == "precious"


def test_a_checkpoint_that_is_not_there_is_one_sentence(capfd):
    assert main(["export", "no.ckpt"]) == 2
    assert "there is no checkpoint no.ckpt" in capfd.readouterr().err


def test_the_verb_and_python_are_one(small_run, tmp_path, monkeypatch):
    asked = {}

    def export(*args):
        asked["args"] = args
        return export_module.Exported(tmp_path, "onnx", "teacher", 1, "", "")

    monkeypatch.setattr("ssseg.exporting.export.export", export)
    ssseg.export("a.ckpt", out="b.onnx", network="teacher", images="photos", opset=20)
    assert asked["args"] == ("a.ckpt", None, "b.onnx", "teacher", ["photos"], 20)
