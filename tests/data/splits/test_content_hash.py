import shutil

import numpy as np
from PIL import Image

from ssseg.data.datasets.folder import Folder
from ssseg.data.splits.content_hash import content_hash
from tests.data.trees import draw_pair, save, write_classes


def hash_of(root, names=("a0", "a2")):
    source = Folder(str(root))
    return content_hash(source, [r for r in source.records("train") if r.id in names])


def mask_of(root, name):
    return root / "train" / "masks" / f"{name}.png"


def test_the_hash_is_short_and_repeatable(tree):
    assert hash_of(tree) == hash_of(tree)
    assert len(hash_of(tree)) == 12
    assert set(hash_of(tree)) <= set("0123456789abcdef")


def test_the_hash_changes_with_one_mask_pixel(tree):
    before = hash_of(tree)
    mask = np.array(Image.open(mask_of(tree, "a2")))
    mask[3, 5] = (mask[3, 5] + 1) % 3
    save(mask, mask_of(tree, "a2"))
    assert hash_of(tree) != before
    mask[3, 5] = 255
    save(mask, mask_of(tree, "a2"))
    assert hash_of(tree) != before


def test_the_hash_changes_with_an_id(tree):
    before = hash_of(tree)
    for path in (tree / "train" / "images" / "a2.png", mask_of(tree, "a2")):
        path.rename(path.with_name("renamed.png"))
    assert hash_of(tree, ("a0", "renamed")) != before


def test_the_hash_changes_with_the_choice(tree):
    choices = [("a0",), ("a0", "a1"), ("a0", "a2"), ("a0", "a1", "a2")]
    assert len({hash_of(tree, choice) for choice in choices}) == 4


def test_the_hash_changes_with_nothing_else(tree, tmp_path):
    before = hash_of(tree)
    moved = tmp_path / "elsewhere"
    shutil.copytree(tree, moved)
    # other photographs, other class names, more images, another file format of a mask
    save(np.zeros((24, 32, 3), np.uint8), moved / "train" / "images" / "a0.png")
    write_classes(moved, ["x", "y", "z", "w"])
    draw_pair(moved, "train", "zz", np.random.default_rng(5))
    save(np.zeros((24, 32), np.uint8), mask_of(moved, "a5"))
    mask = Image.open(mask_of(moved, "a2"))
    mask.putpalette([9, 9, 9, 200, 0, 0, 0, 0, 200])
    mask.save(mask_of(moved, "a2"))
    assert mask.mode == "P"
    assert hash_of(moved) == before
