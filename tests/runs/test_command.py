"""Python values and `~` as a command line has them."""

from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from pytorch_lightning.callbacks import EarlyStopping

import ssseg
from ssseg.data.datasets import Street
from ssseg.errors import UserError
from ssseg.models import Segmenter
from ssseg.runs.command import pairs, typed, typed_text


def test_python_functions_find_the_home_folder(home, tmp_path):
    """What each of them says is missing lies there."""
    calls = [
        ssseg.load,
        ssseg.export,
        ssseg.report,
        ssseg.benchmark,
        ssseg.validate,
        lambda path: ssseg.split("street", str(path)),
        lambda path: ssseg.fit("cutmix", reference=path, out="~/run"),
        lambda path: ssseg.Run(path).summary,
        lambda path: Segmenter(3, weights=path),
    ]
    for call in calls:
        for path in ("~/none.yaml", Path("~/none.yaml")):
            with pytest.raises(UserError, match=str(tmp_path / "none.yaml")):
                call(path)
    assert not (tmp_path / "~").exists()
    written = ssseg.split("street", 8, out="~/list.txt", size=16, train_images=16, val_images=2)
    assert len((tmp_path / "list.txt").read_text().split()) > len(written.labeled) == 8


def test_python_values_are_typed():
    values = {
        "a": Path("x"),
        "b": [Path("x"), 1.5, None, True],
        "c": Street,
        "d": np.int64(3),
        "e": (np.float32(0.5), torch.tensor([1, 2])),
        "f": {"class_path": EarlyStopping, "init_args": {"monitor": "val/miou"}},
        "g": None,
        "h": "1/8",
    }
    assert typed(values, "data") == [
        "--data.a=x",
        '--data.b=["x", 1.5, null, true]',
        f"--data.c={Street.__module__}.Street",
        "--data.d=3",
        "--data.e=[0.5, [1, 2]]",
        f'--data.f={{"class_path": "{EarlyStopping.__module__}.EarlyStopping", '
        '"init_args": {"monitor": "val/miou"}}',
        "--data.g=null",
        "--data.h=1/8",
    ]


def test_objects_are_refused_in_one_sentence():
    with pytest.raises(
        UserError, match=r"option trainer\.callbacks holds an object of class Early"
    ):
        ssseg.fit(trainer={"callbacks": [EarlyStopping("val/miou")]})
    with pytest.raises(UserError, match="option logger holds an object"):
        ssseg.fit(logger=object())
    with pytest.raises(UserError, match="unknown logger"):
        ssseg.fit(logger=False)
    with pytest.raises(UserError, match=r"option data\.root holds"):
        ssseg.doctor(root=open)
    with pytest.raises(UserError, match="option method holds an object of class Supervised"):
        ssseg.fit(ssseg.methods.Supervised())
    with pytest.raises(UserError, match="holds an object"):
        typed_text({1, object()}, "x")


def test_flags_are_paired_with_their_values():
    assert list(pairs(["--a", "1", "--b=2=3", "--c", "x", "y"])) == [
        ("--a", ["1"]),
        ("--b", ["2=3"]),
        ("--c", ["x", "y"]),
    ]


def test_values_become_what_is_typed():
    options = {
        "text": "1/8",
        "spaced": "a b",
        "whole": 500,
        "number": 0.0001,
        "flag": True,
        "nothing": None,
        "list": [321, 321],
        "mapping": {"mitrans": False, "names": ["a", None]},
    }
    words = typed(options)
    assert words == [
        "--text=1/8",
        "--spaced=a b",
        "--whole=500",
        "--number=0.0001",
        "--flag=true",
        "--nothing=null",
        "--list=[321, 321]",
        '--mapping={"mitrans": false, "names": ["a", null]}',
    ]
    back = {word[2:].split("=", 1)[0]: yaml.safe_load(word.split("=", 1)[1]) for word in words}
    assert back == options
