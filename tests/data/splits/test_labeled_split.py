from collections import Counter
from itertools import pairwise

import numpy as np
import pytest

from ssseg.data.datasets.folder import Folder
from ssseg.data.datasets.street import Street
from ssseg.data.splits.content_hash import content_hash
from ssseg.data.splits.labeled_split import split_labeled
from ssseg.errors import UserError
from tests.data.splits.sources import Painted, some, voc_like
from tests.data.trees import ids


def chosen(count, wanted, seed=0):
    return ids(split_labeled(some(count), wanted, seed).labeled)


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


@pytest.mark.parametrize("wanted", ["nan", "inf", "1/8/2", "half", "", "1/nan", "no such file.txt"])
def test_neither_a_number_nor_a_file(wanted, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="neither a number nor a readable list file") as caught:
        split_labeled(some(12), wanted, 0)
    assert "option data.labeled" in str(caught.value)


def test_random_choices_are_those_of_earlier_versions():
    assert chosen(367, "5") == ["img_0058", "img_0105", "img_0264", "img_0325", "img_0344"]
    street = Street(train_images=16, size=32)
    split = split_labeled(street.records("train"), "4", 0, source=street)
    assert ids(split.labeled) == [f"train/000{i}" for i in ("05", "12", "13", "14")]
    assert content_hash(street, split.labeled) == "028a72a9c471"


def test_random_choices_and_lists_open_no_other_masks(tmp_path):
    source = Painted(voc_like())
    source.split("1/8")
    (tmp_path / "list.txt").write_text("img_0001")
    source.split(str(tmp_path / "list.txt"))
    assert source.reads == 0
    source.split("1/8", 0, "stratified")
    assert source.reads == 400


def test_a_protocol_of_the_data_set_comes_before_a_number():
    source = Painted(voc_like(20), {"10": ["img_0003", "img_0001"], "clean": ["img_0007"]})
    split = source.split("10")
    assert split.name == "10"
    assert ids(split.labeled) == ["img_0001", "img_0003"]
    assert len(split.rest) == 18
    assert ids(source.split("clean").labeled) == ["img_0007"]
    # the same number as a fraction is a count again
    assert len(source.split("10/20").labeled) == 10
    with pytest.raises(UserError, match="file with one id per line, or one of 10, clean"):
        source.split("cleen")


def test_a_protocol_with_images_that_are_not_there():
    source = Painted(voc_like(20), {"1464": ["img_0003", "2007_000032"]})
    with pytest.raises(UserError, match=r"protocol 1464 names 1 images .* '2007_000032'"):
        source.split("1464")


def test_all_are_labeled_however_they_are_selected():
    for select in ("random", "stratified"):
        for wanted in (None, "all"):
            split = Painted(voc_like(20)).split(wanted, 0, select)
            assert (split.name, len(split.labeled), split.rest) == ("all", 20, [])


@pytest.mark.parametrize(
    ("wanted", "select", "said"),
    [
        ("1/8", "stratifed", "unknown value of option data.select 'stratifed'; did you mean"),
        ("3/class", "stratified", "data.labeled is 3/class; data.select needs a count"),
        ("clean", "stratified", "data.labeled is clean; data.select needs a count"),
        ("list.txt", "stratified", "data.labeled is list.txt; data.select needs a count"),
        ("0/class", "random", "data.labeled is 0/class; expected at least 1/class"),
        ("21", "stratified", "21 of 20 training images with masks; expected a count from 1 to 20"),
    ],
)
def test_options_that_do_not_go_together(wanted, select, said):
    source = Painted(voc_like(20), {"clean": ["img_0001"]})
    with pytest.raises(UserError) as caught:
        source.split(wanted, 0, select)
    assert said in str(caught.value)
    assert source.reads == 0


def test_a_seed_below_0_and_masks_without_a_class():
    with pytest.raises(UserError, match=r"data\.split_seed is -1; expected a number of at least 0"):
        chosen(12, "3", -1)
    with pytest.raises(UserError, match="no class of painted occurs in any training mask"):
        Painted(np.zeros((5, 3))).split("2/class")
    with pytest.raises(ValueError, match="pass the source"):
        split_labeled(some(12), "2/class", 0)


def test_the_order_of_a_list_file_does_not_matter(tree, tmp_path):
    source = Folder(str(tree))
    hashes = set()
    for names in (["a0", "a2", "a5"], ["a5", "a0", "a2"]):
        (tmp_path / "list.txt").write_text("\n".join(names))
        split = split_labeled(source.records("train"), str(tmp_path / "list.txt"), 0)
        hashes.add(content_hash(source, split.labeled))
    assert len(hashes) == 1
