import os
import pickle

import numpy as np
import pytest

from ssseg.data.splits.labeled_split import split_labeled
from ssseg.data.splits.list_files import read_list
from ssseg.errors import UserError
from tests.data.splits.lists import training
from tests.data.splits.test_labeled_split import some
from tests.data.trees import ids

ORDER = np.array([4, 1, 5, 0, 2, 3])


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("kind", ["<i8", ">i8", "i4", "u4"])
def test_pickled_permutations(tmp_path, protocol, kind):
    path = tmp_path / "split_0.pkl"
    path.write_bytes(pickle.dumps(ORDER.astype(kind), protocol))
    for part, expected in (
        ("1", [4]),
        ("3", [1, 4, 5]),
        ("1/2", [1, 4, 5]),
        ("0.5", [1, 4, 5]),
        ("1/4", [4]),  # down, not up
        ("6", range(6)),
    ):
        split = split_labeled(some(6), f"{path}#{part}", 0)
        assert ids(split.labeled) == [f"img_000{i}" for i in expected]
        assert split.name == f"split_0#{part}"


class Payload:
    def __init__(self, file):
        self.file = file

    def __reduce__(self):
        return os.system, (f"touch {self.file}",)


def hostile(file):
    """Pickles that would run something, or make something that is no array."""
    call = f"cposix\nsystem\n(S'touch {file}'\ntR.".encode()
    held = np.array([Payload(file)], object)
    return {
        "payload": pickle.dumps(Payload(file)),
        "payload by hand": call,
        "payload in an array": pickle.dumps(held),
        "payload beside an array": pickle.dumps([ORDER, Payload(file)]),
        "eval": b"cbuiltins\neval\n(S'1'\ntR.",
        "getattr": b"cbuiltins\ngetattr\n.",
        "numpy function": b"cnumpy\nfromfile\n(S'/etc/passwd'\ntR.",
        "numpy testing": b"cnumpy.testing._private.utils\nrunstring\n(S'1'\nS'2'\ntR.",
        "another codec": b"c_codecs\nencode\n(Vx\nVrot13\ntR.",
        "a list": pickle.dumps([4, 1, 5, 0, 2, 3]),
        "floats": pickle.dumps(ORDER.astype(float)),
        "texts": pickle.dumps(ORDER.astype(str)),
        "two rows": pickle.dumps(ORDER.reshape(2, 3)),
        "class itself": b"cnumpy\nndarray\n.",
        "an empty array object": pickle.dumps(ORDER, 2).split(b"R")[0] + b"R.",
        "cut off": pickle.dumps(ORDER)[:-9],
        "nothing": b"",
        "text": b"img_0001\nimg_0002\n",
    }


@pytest.mark.parametrize("name", hostile("x"))
def test_pickles_that_hold_anything_else_run_nothing(tmp_path, name):
    done, path = tmp_path / "done", tmp_path / "split_0.pkl"
    path.write_bytes(hostile(done)[name])
    with pytest.raises(UserError, match="is not a pickled numpy array of indices") as caught:
        split_labeled(some(6), f"{path}#2", 0)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not done.exists()


def test_the_payload_of_these_tests_would_run(tmp_path):
    pickle.loads(pickle.dumps(Payload(tmp_path / "done")))
    assert (tmp_path / "done").exists()


@pytest.mark.parametrize(
    ("order", "part", "said"),
    [
        (ORDER, "", "is an order of all training images; give the number"),
        (ORDER, "#half", "is an order of all training images; give the number"),
        (ORDER, "#7", "7 of 6 training images"),
        (ORDER, "#0", "0 of 6 training images"),
        (ORDER, "#1/7", "0 of 6 training images"),
        (ORDER[:5], "#2", "orders 5 images, but there are 6 training images"),
        (np.array([0, 1, 2, 3, 4, 6]), "#2", "is not a permutation"),
        (np.array([0, 1, 2, 3, 4, -1]), "#2", "is not a permutation"),
        (np.array([0, 1, 2, 3, 4, 4]), "#2", "is not a permutation"),
    ],
)
def test_permutations_that_do_not_fit(tmp_path, order, part, said):
    path = tmp_path / "split_0.pkl"
    path.write_bytes(pickle.dumps(order))
    with pytest.raises(UserError, match=said):
        split_labeled(some(6), str(path) + part, 0)


def test_published_permutations(published):
    formats = published / "formats"
    content, records = training(published, "voc2012")
    order = content["classmix_permutation"]
    for part, count in (("1/8", 1322), ("1323", 1323), ("1/100", 105), ("0.02", 211)):
        found = read_list(f"{formats / 'cutmixseg_split_0.pkl'}#{part}", records).ids
        assert found == {records[i].id for i in order[:count]}
    content, records = training(published, "cityscapes")
    order = content["classmix_permutation"]["split_0"]
    for part, count in (("1/8", 371), ("372", 372), ("1/30", 99)):
        found = read_list(f"{formats / 'classmix_cityscapes_split_0.pkl'}#{part}", records).ids
        assert found == {records[i].id for i in order[:count]}
