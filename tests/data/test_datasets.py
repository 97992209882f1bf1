"""Data sets by name."""

import subprocess
import sys

import pytest

from ssseg.data.datasets import DATASETS, source_class
from ssseg.data.datasets.base import Source
from ssseg.data.datasets.street import Street
from ssseg.errors import UserError


def test_names_of_data_sets():
    for name in DATASETS:
        assert issubclass(source_class(name), Source)
    assert source_class("tests.data.test_datasets.Mine") is Mine


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("stret", "did you mean 'street'"),
        ("cityscape", "did you mean 'cityscapes'? (known: camvid, cityscapes, context, domains,"),
        ("no.such.module", "no data set at 'no.such.module'"),
        ("tests.data.trees.SIZE", "expected a class"),
        ("tests.data.trees.Nothing", "no data set at"),
    ],
)
def test_unknown_data_sets(name, said):
    with pytest.raises(UserError) as caught:
        source_class(name)
    assert repr(name) in str(caught.value)
    assert said in str(caught.value)


def test_the_names_are_known_without_torch():
    code = "import sys, ssseg.data.datasets as d; list(d.DATASETS); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


class Mine(Street):
    """A user's own data set."""
