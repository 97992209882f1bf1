"""Python values and `~` as a command line has them."""

from pathlib import Path

import numpy as np
import pytest
import torch
from pytorch_lightning.callbacks import EarlyStopping

import ssseg
from ssseg.data.datasets import Street
from ssseg.errors import UserError
from ssseg.models import Segmenter
from ssseg.runs.command import typed, typed_text, with_home
from ssseg.runs.paths import all_at_home, as_path, at_home


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    return str(tmp_path)


def test_home_is_where_a_shell_would_put_it(home):
    assert at_home("~/run") == f"{home}/run"
    assert with_home(["fit", "--out=~/run", "~/x", "--a.b", "~", "x~", "--c=x=~/y", "-1"]) == [
        *("fit", f"--out={home}/run", f"{home}/x", "--a.b", home, "x~", "--c=x=~/y", "-1")
    ]
    assert at_home("~lock.png") == "~lock.png"
    assert as_path(Path("~/a")) == Path(home, "a")
    assert all_at_home({"a": ["~/b", 3, {"c": "~"}]}) == {"a": [f"{home}/b", 3, {"c": home}]}


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
