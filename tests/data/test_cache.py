import os
import subprocess
import sys

import numpy as np
import pytest

from ssseg.data.cache import DecodedCache
from ssseg.errors import UserError
from tests.data.trees import batches, data_of, draw_mask, flat, paint, save

ARRAY = np.arange(12, dtype=np.uint8).reshape(3, 4)


class Decoder:
    """Says what a file holds, and counts how often it was asked."""

    def __init__(self, array=ARRAY):
        self.array, self.calls = array, 0

    def __call__(self):
        self.calls += 1
        return self.array


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(b"first")
    return path


def test_a_file_is_decoded_once(tmp_path, file):
    decode = Decoder()
    for _ in range(3):
        for cache in (DecodedCache(tmp_path / "cache"), DecodedCache(tmp_path / "cache")):
            np.testing.assert_array_equal(cache.get(file, "image", decode), ARRAY)
    assert decode.calls == 1


def test_what_is_read_is_the_file_s_memory(tmp_path, file):
    found = DecodedCache(tmp_path / "cache").get(file, "image", Decoder())
    assert not found.flags.writeable
    assert isinstance(found.base, np.memmap) or found.base is not None


def test_another_content_is_another_entry_and_equal_content_the_same(tmp_path, file):
    cache = DecodedCache(tmp_path / "cache")
    cache.get(file, "image", Decoder())
    file.write_bytes(b"second")
    changed = ARRAY + 1
    np.testing.assert_array_equal(cache.get(file, "image", Decoder(changed)), changed)
    twin = tmp_path / "b.png"
    twin.write_bytes(b"second")
    np.testing.assert_array_equal(cache.get(twin, "image", Decoder(None)), changed)


def test_same_size_another_time(tmp_path, file):
    cache = DecodedCache(tmp_path / "cache")
    cache.get(file, "image", Decoder())
    file.write_bytes(b"fir5t")
    os.utime(file, ns=(1, 1))
    np.testing.assert_array_equal(cache.get(file, "image", Decoder(ARRAY + 1)), ARRAY + 1)


def test_kinds_do_not_meet(tmp_path, file):
    cache = DecodedCache(tmp_path / "cache")
    cache.get(file, "image", Decoder())
    np.testing.assert_array_equal(cache.get(file, "mask", Decoder(ARRAY + 1)), ARRAY + 1)


def test_a_torn_entry_is_written_again(tmp_path, file):
    cache = DecodedCache(tmp_path / "cache")
    cache.get(file, "image", Decoder())
    (entry,) = (tmp_path / "cache").rglob("*.npy")
    content = entry.read_bytes()
    for torn in (b"", content[:20], content[:-3]):
        entry.write_bytes(torn)
        np.testing.assert_array_equal(cache.get(file, "image", Decoder()), ARRAY)
        assert entry.read_bytes() == content


FILL = """
import sys
from pathlib import Path
import numpy as np
from ssseg.data.cache import DecodedCache
big = np.full((400, 400), 7, np.uint8)
assert (DecodedCache(Path(sys.argv[1])).get(Path(sys.argv[2]), "image", lambda: big) == 7).all()
"""


def test_processes_at_once(tmp_path, file):
    command = [sys.executable, "-c", FILL, str(tmp_path / "cache"), str(file)]
    workers = [subprocess.Popen(command) for _ in range(3)]
    assert [worker.wait(60) for worker in workers] == [0, 0, 0]
    assert [path.suffix for path in (tmp_path / "cache").rglob("*") if path.is_file()] == [".npy"]


def test_a_folder_that_cannot_be_made(tmp_path, file):
    with pytest.raises(UserError, match=r"data\.cache: .* cannot be written .* folder with room"):
        DecodedCache(file / "cache")


def test_training_sees_the_same_with_and_without(tree, tmp_path):
    plain = batches(data_of(tree), 4)
    for _ in range(2):  # first filled, then used
        cached = batches(data_of(tree, cache=str(tmp_path / "cache")), 4)
        for a, b in zip(plain, cached, strict=True):
            assert all((x == y).all() for x, y in zip(flat(a), flat(b), strict=True))


def test_a_changed_mask_is_seen(tree, tmp_path):
    options = {"labeled": "all", "cache": str(tmp_path / "cache")}
    batches(data_of(tree, **options, num_views=0), 4)
    new = 2 - draw_mask(np.random.default_rng(99))
    save(new, tree / "train" / "masks" / "a0.png")
    save(paint(new), tree / "train" / "images" / "a0.png")
    data = data_of(tree, **options)
    np.testing.assert_array_equal(data.source.read_mask(data.source.records("train")[0]), new)


def test_masks_mean_what_the_class_list_says_now(tree, tmp_path):
    """The cache keeps a mask's values, not the ids they stood for under another class list."""
    from tests.data.trees import write_classes

    colours = {"classes": [{"name": n, "color": [i, 0, 0]} for i, n in enumerate("abc")]}
    write_classes(tree, colours)
    mask = draw_mask(np.random.default_rng(1))
    save(np.stack([mask, 0 * mask, 0 * mask], -1), tree / "train" / "masks" / "a0.png")
    data = data_of(tree, cache=str(tmp_path / "cache"))
    np.testing.assert_array_equal(data.source.read_mask(data.source.records("train")[0]), mask)
    colours["classes"][0]["color"], colours["classes"][1]["color"] = [1, 0, 0], [0, 0, 0]
    write_classes(tree, colours)
    data = data_of(tree, cache=str(tmp_path / "cache"))
    swapped = np.choose(mask, [1, 0, 2])
    np.testing.assert_array_equal(data.source.read_mask(data.source.records("train")[0]), swapped)
