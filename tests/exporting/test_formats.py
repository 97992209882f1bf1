import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import ssseg
from ssseg.data.datasets import Street
from ssseg.exporting.formats import FORMATS
from tests.exporting.files import images

onnx = pytest.importorskip("onnx")


ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_answers_as_the_model_whatever_the_size(small_run, exported_files, name):
    model, exported = ssseg.load(small_run.checkpoint()), FORMATS[name].open(exported_files[name])
    for image in images():
        wanted, found = model(image), exported(image)
        assert found.shape == wanted.shape == (len(image), 8, *image.shape[-2:])
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)
        assert (found.argmax(1) == wanted.argmax(1)).float().mean() > 0.999


def test_safetensors_are_loaded_as_the_checkpoint_is(small_run, exported_files):
    first, second = (
        ssseg.load(path) for path in (small_run.checkpoint(), exported_files["safetensors"])
    )
    assert first.about["scores"] == second.about["scores"]
    photo = np.random.default_rng(0).integers(0, 256, (45, 70, 3), np.uint8)
    assert np.array_equal(first.predict(photo).label, second.predict(photo).label)
    assert first.classes == second.classes


def test_an_onnx_file_names_its_sides_and_nothing_of_this_machine(exported_files):
    graph = onnx.load(str(exported_files["onnx"])).graph
    for value, channels in ((graph.input[0], 3), (graph.output[0], 8)):
        batch, depth, *sides = value.type.tensor_type.shape.dim
        assert depth.dim_value == channels
        assert [each.dim_param for each in (batch, *sides)] == ["batch", "height", "width"]
    assert (graph.input[0].name, graph.output[0].name) == ("image", "logits")
    for path in exported_files.values():
        held = path.read_bytes()
        assert str(ROOT).encode() not in held
        assert b"site-packages" not in held


def test_the_snippet_of_the_page_runs_without_ssseg(small_run, exported_files, tmp_path):
    page = (ROOT / "docs" / "how-to" / "export.md").read_text(encoding="utf-8")
    (snippet,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert "ssseg" not in snippet.replace('["ssseg"]', "")
    assert "torch" not in snippet
    (tmp_path / "model.onnx").write_bytes(exported_files["onnx"].read_bytes())
    photo = Street(val_images=1, size=61).read_image(Street(val_images=1).records("val")[0])
    Image.fromarray(photo[:45]).save(tmp_path / "photo.jpg")
    done = subprocess.run(
        [sys.executable, "-c", snippet], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    model = ssseg.load(small_run.checkpoint())
    wanted = model.predict(tmp_path / "photo.jpg")
    with Image.open(tmp_path / "classes.png") as found:
        assert (np.asarray(found) == wanted.label).mean() > 0.999
        pixels, colors = np.asarray(found.convert("RGB")), np.asarray(wanted.image().convert("RGB"))
    assert (pixels == colors).mean() > 0.999
    names = [model.classes[number].name for number in np.unique(wanted.label)]
    assert done.stdout.strip() == str(names)
