import shutil
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ssseg.data.datasets.base import Record
from ssseg.data.datasets.folder import Folder
from ssseg.data.splits import content_hash, split_labeled
from ssseg.errors import UserError
from tests.data.trees import draw_pair, ids, save, write_classes


def some(count):
    return [Record(f"img_{i:04}", Path(f"{i}.jpg"), Path(f"{i}.png")) for i in range(count)]


def chosen(count, wanted, seed=0):
    return ids(split_labeled(some(count), wanted, seed).labeled)


@pytest.mark.parametrize(
    ("total", "wanted", "expected"),
    [
        (12, "5", 5),
        (12, "12", 12),
        (12, None, 12),
        (16, "1/8", 2),
        (15, "1/8", 2),
        (367, "1/8", 46),
        (2975, "1/8", 372),
        (2975, "1/30", 100),
        (12, "2/3", 8),
        (12, "1/1", 12),
        (10, "0.5", 5),
        (10, "1.0", 10),
        (100, "0.29", 29),  # 28 in floating point
        (1000, "0.001", 1),
        (1000, "1e-2", 10),
    ],
)
def test_counts_and_fractions(total, wanted, expected):
    records = some(total)
    split = split_labeled(records, wanted, 0)
    assert len(split.labeled) == expected
    # the two parts are all records, each once and in their old order
    assert sorted(split.labeled + split.rest) == records
    assert split.labeled == sorted(split.labeled)
    assert split.rest == sorted(split.rest)


def test_smaller_counts_of_a_seed_lie_within_larger_ones():
    for seed in range(3):
        sets = [set(chosen(20, str(count), seed)) for count in range(1, 21)]
        assert all(a < b for a, b in pairwise(sets))
        assert set(chosen(20, "1/4", seed)) == sets[4]


def test_the_choice_depends_on_the_seed_alone():
    assert chosen(50, "10", 3) == chosen(50, "10", 3)
    assert len({tuple(chosen(50, "10", seed)) for seed in range(20)}) == 20


def test_every_image_is_chosen_about_equally_often():
    count = Counter(name for seed in range(400) for name in chosen(10, "5", seed))
    assert len(count) == 10
    assert min(count.values()) > 150
    assert max(count.values()) < 250  # 200 expected, standard deviation 10


def test_the_name_says_how_the_split_was_made(tmp_path):
    assert split_labeled(some(16), "1/8", 4).name == "1/8 seed 4"
    assert split_labeled(some(16), None, 4).name == "all"
    (tmp_path / "my list.txt").write_text("img_0001")
    assert split_labeled(some(16), str(tmp_path / "my list.txt"), 4).name == "my list"


@pytest.mark.parametrize(
    "wanted",
    ["0", "13", "-3", "0/8", "9/8", "1/0", "-1/8", "1.5", "0.0", "-0.5", "1e3"],
)
def test_numbers_out_of_range(wanted):
    with pytest.raises(UserError, match="expected a count from 1 to 12") as caught:
        split_labeled(some(12), wanted, 0)
    assert f"option data.labeled is {wanted}, which is" in str(caught.value)
    assert "of 12 training images" in str(caught.value)


@pytest.mark.parametrize("wanted", ["nan", "inf", "1/8/2", "half", "", "1/nan", "no such file.txt"])
def test_neither_a_number_nor_a_file(wanted, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="neither a number nor a readable list file") as caught:
        split_labeled(some(12), wanted, 0)
    assert "option data.labeled" in str(caught.value)


LISTS = {
    "plain ids": "img_0003\nimg_0001\n",
    "no final newline": "img_0003\nimg_0001",
    "Windows line ends": "img_0003\r\nimg_0001\r\n",
    "byte order mark": "\ufeffimg_0003\nimg_0001\n",
    "blank lines": "\nimg_0003\n\n  \nimg_0001\n\n",
    "spaces around": "  img_0003 \n\timg_0001\t\n",
    "endings": "img_0003.jpg\nimg_0001.png\n",
    "paths": "leftImg8bit/train/aachen/img_0003.png\n/JPEGImages/img_0001.jpg\n",
    "pairs with a space": "/JPEGImages/img_0003.jpg /Masks/img_0003.png\na/img_0001.jpg b/x.png",
    "pairs with a tab": "/images/img_0003.png\t/seg/img_0003_gtFine.png\nimg_0001\timg_0001_gt",
    "twice": "img_0003\nimg_0001\nimg_0003\n",
}


@pytest.mark.parametrize("content", LISTS.values(), ids=LISTS.keys())
def test_list_files(tmp_path, content):
    path = tmp_path / "labeled.txt"
    path.write_bytes(content.encode())
    split = split_labeled(some(6), str(path), 0)
    assert ids(split.labeled) == ["img_0001", "img_0003"]
    assert ids(split.rest) == ["img_0000", "img_0002", "img_0004", "img_0005"]


NAMES = ["a", "my photo (1)", "v1.2 final", "straße 7", "train/00003", "東京"]


@pytest.mark.parametrize("ending", ["", ".jpg"])
def test_names_with_spaces_dots_folders_and_letters_of_all_kinds(tmp_path, ending):
    records = [Record(name, i, i) for i, name in enumerate([*NAMES, "my", "v1", "00003x"])]
    path = tmp_path / "labeled.txt"
    names = [name for name in NAMES if not (ending and "/" in name)]
    path.write_text("\n".join(name + ending for name in names), encoding="utf-8")
    assert ids(split_labeled(records, str(path), 0).labeled) == names


def test_an_unknown_image_is_named_with_its_line(tmp_path):
    path = tmp_path / "labeled.txt"
    path.write_text("img_0001\n\n\n/images/img_9999.jpg /masks/img_9999.png\nimg_8888\n")
    with pytest.raises(UserError, match="no such training image") as caught:
        split_labeled(some(6), str(path), 0)
    assert f"line 4 of {path}" in str(caught.value)
    assert "img_9999" in str(caught.value)
    assert "img_8888" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"\n\n  \n"])
def test_an_empty_list(tmp_path, content):
    path = tmp_path / "labeled.txt"
    path.write_bytes(content)
    with pytest.raises(UserError, match="names no image; expected one id per line") as caught:
        split_labeled(some(6), str(path), 0)
    assert str(path) in str(caught.value)


def test_a_list_that_is_no_text(tmp_path):
    path = tmp_path / "split_0.pkl"
    path.write_bytes(b"\x80\x03cnumpy\xff\xfe")
    with pytest.raises(UserError, match="neither a number nor a readable list file") as caught:
        split_labeled(some(6), str(path), 0)
    assert str(path) in str(caught.value)


def test_a_folder_is_no_list(tmp_path):
    with pytest.raises(UserError, match="neither a number nor a readable list file"):
        split_labeled(some(6), str(tmp_path), 0)


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


def test_the_order_of_a_list_file_does_not_matter(tree, tmp_path):
    source = Folder(str(tree))
    hashes = set()
    for names in (["a0", "a2", "a5"], ["a5", "a0", "a2"]):
        (tmp_path / "list.txt").write_text("\n".join(names))
        split = split_labeled(source.records("train"), str(tmp_path / "list.txt"), 0)
        hashes.add(content_hash(source, split.labeled))
    assert len(hashes) == 1
