import shutil
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ssseg.data.datasets.base import ClassInfo, Record, Source
from ssseg.data.datasets.folder import Folder
from ssseg.data.datasets.street import Street
from ssseg.data.splits.content_hash import content_hash
from ssseg.data.splits.labeled_split import split_labeled
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


@pytest.mark.parametrize(
    ("total", "published"),
    [
        (10582, {100: 106, 50: 212, 16: 662, 8: 1323, 4: 2646, 2: 5291}),
        (2975, {30: 100, 16: 186, 8: 372, 4: 744, 2: 1488}),
    ],
)
def test_fractions_are_counted_as_they_are_published(total, published):
    for share, count in published.items():
        assert len(split_labeled(some(total), f"1/{share}", 0).labeled) == count


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


class Painted(Source):
    """Images whose masks show the classes that a table says; nothing is read from anywhere."""

    name = "painted"
    in_memory = True

    def __init__(self, presence, protocols=None):
        self.presence = np.asarray(presence, bool)
        self.classes = [ClassInfo(f"c{i}", (0, 0, 0)) for i in range(self.presence.shape[1])]
        self.named = protocols or {}
        self.reads = 0

    def records(self, split):
        return some(len(self.presence)) if split == "train" else []

    def protocols(self):
        return self.named

    def read_image(self, record):
        raise AssertionError("no choice looks at images")

    def read_mask(self, record):
        self.reads += 1
        classes = np.flatnonzero(self.presence[int(record.id.removeprefix("img_"))])
        return np.array([[255, *classes]], np.uint8)

    def split(self, wanted, seed=0, select="random"):
        return split_labeled(self.records("train"), wanted, seed, select, self)

    def shown(self, split):
        """In how many labeled images each class occurs."""
        places = [int(record.id.removeprefix("img_")) for record in split.labeled]
        return self.presence[places].sum(0)


def voc_like(images=400, seed=0):
    """A background everywhere, common and rare classes, one in a single image, one in none."""
    rng = np.random.default_rng(seed)
    presence = rng.random((images, 12)) < [1, 0.5, 0.4, 0.3, 0.2, 0.1, 0.05, 0.02, 0.01, 0.01, 0, 0]
    presence[rng.integers(images), 10] = True
    return presence


def one_class_each(counts=(180, 150, 60, 5, 3, 1, 1), seed=0):
    """Every image shows a single class: no image can stand for two."""
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)), counts))
    return labels[:, None] == np.arange(len(counts))


def test_random_choices_are_those_of_earlier_versions():
    assert chosen(367, "5") == ["img_0058", "img_0105", "img_0264", "img_0325", "img_0344"]
    street = Street(train_images=16, size=32)
    split = split_labeled(street.records("train"), "4", 0, source=street)
    assert ids(split.labeled) == [f"train/000{i}" for i in ("05", "12", "13", "14")]
    assert content_hash(street, split.labeled) == "028a72a9c471"


@pytest.mark.parametrize("presence", [voc_like(), one_class_each()], ids=["many", "single"])
@pytest.mark.parametrize("seed", range(5))
def test_a_stratified_choice_shows_every_class_that_there_is(presence, seed):
    source = Painted(presence)
    least = presence.shape[1]
    for wanted in (str(least), "20", "1/8", "1/2", "0.9"):
        split = source.split(wanted, seed, "stratified")
        assert len(split.labeled) == len(source.split(wanted, seed).labeled)  # to the image
        assert sorted(split.labeled + split.rest) == source.records("train")
        assert ((source.shown(split) > 0) == presence.any(0)).all()
        assert split.name == f"{wanted} stratified seed {seed}"


@pytest.mark.parametrize("presence", [voc_like(), one_class_each()], ids=["many", "single"])
def test_a_stratified_choice_keeps_the_shares_of_the_classes(presence):
    source, random, stratified = Painted(presence), [], []
    wish = presence.mean(0)
    for seed in range(10):
        for select, errors in (("random", random), ("stratified", stratified)):
            split = source.split("1/4", seed, select)
            errors.append(np.abs(source.shown(split) / len(split.labeled) - wish))
    assert np.mean(stratified) < 0.6 * np.mean(random)
    # no class is off by more than a few images of 100
    assert np.max(stratified) < 0.05


def test_a_count_that_is_too_small_for_all_classes_shows_as_many_as_it_can():
    source = Painted(one_class_each())
    for count in range(1, 8):
        split = source.split(str(count), 0, "stratified")
        assert (source.shown(split) > 0).sum() == len(split.labeled) == count


def test_a_stratified_choice_depends_on_the_seed_alone():
    source = Painted(voc_like())
    assert source.split("30", 3, "stratified") == source.split("30", 3, "stratified")
    assert len({tuple(source.split("30", seed, "stratified").labeled) for seed in range(20)}) == 20


def test_images_without_any_class_can_be_chosen_too():
    presence = np.zeros((10, 2), bool)
    presence[0, 0] = True
    source = Painted(presence)
    for count in range(1, 11):
        split = source.split(str(count), 0, "stratified")
        assert len(split.labeled) == count
        assert split.labeled[0].id == "img_0000"


@pytest.mark.parametrize("least", [1, 3, 10])
@pytest.mark.parametrize("presence", [voc_like(), one_class_each()], ids=["many", "single"])
def test_a_coverage_shows_each_class_often_enough_and_no_image_can_be_spared(presence, least):
    source = Painted(presence)
    needed = np.minimum(least, presence.sum(0))
    split = source.split(f"{least}/class", 2)
    assert split.name == f"{least}/class seed 2"
    assert (source.shown(split) >= needed).all()
    for left_out in split.labeled:
        fewer = split._replace(labeled=[r for r in split.labeled if r != left_out])
        assert (source.shown(fewer) < needed).any()
    assert split == source.split(f"{least}/class", 2)


def test_a_coverage_is_near_the_smallest_there_is():
    milp = pytest.importorskip("scipy.optimize").milp
    from scipy.optimize import Bounds, LinearConstraint

    presence = voc_like()
    for least in (1, 3, 10):
        enough = LinearConstraint(presence.T.astype(float), lb=np.minimum(least, presence.sum(0)))
        images = np.ones(len(presence))
        smallest = milp(images, constraints=enough, bounds=Bounds(0, 1), integrality=images)
        found = len(Painted(presence).split(f"{least}/class").labeled)
        assert smallest.fun <= found <= 1.3 * smallest.fun


def test_classes_too_rare_for_a_coverage_are_named():
    split = Painted(one_class_each()).split("3/class")
    assert len(split.notices) == 2
    assert "class 'c5' occurs in 1 training image only, fewer than 3/class" in split.notices[0]
    assert Painted(one_class_each()).split("1/class").notices == ()


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
        ("3/class", "stratified", "data.labeled is 3/class, which leaves no choice to it"),
        ("clean", "stratified", "data.labeled is clean, which leaves no choice to it"),
        ("list.txt", "stratified", "data.labeled is list.txt, which leaves no choice to it"),
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
