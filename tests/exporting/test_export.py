import json
import re

import pytest
import torch

import ssseg
from ssseg.errors import UserError
from ssseg.exporting.formats import FORMATS
from tests.exporting.files import images, metadata


@pytest.mark.parametrize("name", ["safetensors", pytest.param("torch", marks=pytest.mark.slow)])
def test_student_and_teacher_are_told_apart(small_run, tmp_path, name):
    path = ssseg.export(small_run.checkpoint(), name, out=tmp_path, network="student")
    assert path == tmp_path / f"last_student{FORMATS[name].ending}"
    image = images()[1]
    found = FORMATS[name].open(path)(image)
    student, teacher = (ssseg.load(small_run.checkpoint(), name) for name in ("student", "teacher"))
    torch.testing.assert_close(found, student(image))
    assert (found - teacher(image)).abs().max() > 1e-3
    assert json.loads(metadata(name, path))["saved"] == "student"


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda logits: logits * 1.1, "does not do what the model does"),
        (lambda logits: logits * torch.nan, "does not do what the model does"),
        (lambda logits: logits[..., :-1], "expected (1, 8, 32, 32)"),
        (lambda logits: 1 / 0, "fails on an image of shape (1, 3, 32, 32) (ZeroDivisionError"),
    ],
)
def test_a_file_that_does_something_else_is_not_kept(
    small_run, tmp_path, monkeypatch, change, complaint
):
    usual = FORMATS["safetensors"]

    def opened(path):
        exported = usual.open(path)
        return lambda image: change(exported(image))

    monkeypatch.setitem(FORMATS, "safetensors", usual._replace(open=opened))
    with pytest.raises(UserError, match=re.escape(complaint)):
        ssseg.export(small_run.checkpoint(), out=tmp_path / "model.safetensors")
    assert not list(tmp_path.iterdir())


def test_what_fails_while_it_is_written_leaves_nothing(small_run, tmp_path, monkeypatch):
    def full(model, path, about, opset):
        path.write_bytes(b"half of it")
        raise OSError("No space left on device")

    monkeypatch.setitem(FORMATS, "torch", FORMATS["torch"]._replace(write=full))
    with pytest.raises(UserError, match=r"model\.pt2 cannot be written \(No space left"):
        ssseg.export(small_run.checkpoint(), out=tmp_path / "model.pt2")
    assert not list(tmp_path.iterdir())
