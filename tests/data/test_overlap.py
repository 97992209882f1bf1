import os
import shutil

import numpy as np
import pytest

from ssseg.data import overlap
from ssseg.data.datasets.base import Record
from ssseg.data.datasets.folder import Folder
from ssseg.data.datasets.street import Street
from ssseg.data.module import SegmentationData
from ssseg.data.overlap import overlaps, remarks_on
from ssseg.errors import UserError
from tests.data.trees import data_of, draw_mask, draw_pair, paint, save


def record(path):
    return Record(path.stem, path)


def image(path, content=b"one"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return record(path)


def found(**sets):
    return [(one.sets, one.images, one.same_file) for one in overlaps(sets)]


def test_images_that_differ_do_not_overlap(tmp_path):
    a, b, c = (image(tmp_path / name, name.encode()) for name in ("a1", "b1", "c23"))
    assert found(labeled=[a], unlabeled=[b], val=[c]) == []


def test_the_same_path_in_two_sets(tmp_path):
    a, b = image(tmp_path / "a"), image(tmp_path / "b", b"two")
    expected = [(("labeled", "val"), (a.image, a.image), True)]
    assert found(labeled=[a], val=[b, a]) == expected
    detour = record(tmp_path / "x" / ".." / "a")
    (tmp_path / "x").mkdir()
    assert found(labeled=[a], val=[detour])[0][2]


@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_a_link_to_the_same_file(tmp_path, link):
    a = image(tmp_path / "train" / "a.jpg")
    (tmp_path / "val").mkdir()
    link(a.image, tmp_path / "val" / "z.jpg")
    b = record(tmp_path / "val" / "z.jpg")
    assert found(labeled=[a], val=[b]) == [(("labeled", "val"), (a.image, b.image), True)]


def test_a_link_to_the_folder(tmp_path):
    a = image(tmp_path / "train" / "a.jpg")
    (tmp_path / "val").symlink_to(tmp_path / "train")
    assert found(labeled=[a], val=[record(tmp_path / "val" / "a.jpg")])[0][2]


def test_a_copy_under_another_name(tmp_path):
    content = bytes(range(256)) * 400
    a, b = image(tmp_path / "a.jpg", content), image(tmp_path / "val" / "IMG_7.jpeg", content)
    assert found(labeled=[a], val=[b]) == [(("labeled", "val"), (a.image, b.image), False)]


@pytest.mark.parametrize("place", [0, 5000, 30_000, 51_200, 70_000, 102_399])
def test_one_byte_makes_another_image(tmp_path, place):
    """Wherever it is: whole files are compared when their samples are equal."""
    content = bytearray(bytes(range(256)) * 400)
    a = image(tmp_path / "a", bytes(content))
    content[place] ^= 1
    assert found(labeled=[a], val=[image(tmp_path / "b", bytes(content))]) == []


def test_only_files_of_the_same_size_in_two_sets_are_opened(tmp_path, monkeypatch):
    opened = []
    sample = overlap._sample
    monkeypatch.setattr(
        overlap, "_sample", lambda file: opened.append(file.path.name) or sample(file)
    )
    sets = {
        "labeled": [image(tmp_path / "a", b"12"), image(tmp_path / "b", b"34")],
        "val": [image(tmp_path / "c", b"567"), image(tmp_path / "d", b"8")],
        "test": [image(tmp_path / "e", b"9")],
    }
    assert overlaps(sets) == []
    assert sorted(opened) == ["d", "e"]


def test_the_same_file_is_not_opened(tmp_path, monkeypatch):
    monkeypatch.setattr(overlap, "_sample", None)
    a = image(tmp_path / "a")
    assert len(found(labeled=[a], unlabeled=[a])) == 1


def test_copies_within_a_set_and_in_several(tmp_path):
    a, b, c, d = (image(tmp_path / name) for name in "abcd")
    pairs = [(one[0], one[1][0].name) for one in found(labeled=[a, b], unlabeled=[c], val=[d])]
    assert pairs == [
        (("labeled", "unlabeled"), "a"),
        (("labeled", "unlabeled"), "b"),
        (("labeled", "val"), "a"),
        (("labeled", "val"), "b"),
        (("unlabeled", "val"), "c"),
    ]
    assert found(labeled=[a, b]) == []


def test_images_in_memory_and_missing_files_are_passed_over(tmp_path):
    street = Street(train_images=2, val_images=2)
    assert found(labeled=street.records("train"), val=street.records("val")) == []
    gone = record(tmp_path / "gone")
    assert found(labeled=[gone], val=[gone]) == []


def test_a_file_that_cannot_be_opened_equals_none(tmp_path, monkeypatch):
    a, b = image(tmp_path / "a"), image(tmp_path / "b")
    b.image.unlink()
    monkeypatch.setattr(
        overlap, "_stat", lambda name, path: overlap._File(path.name, 3, name, path)
    )
    assert overlaps({"a": [a], "b": [b]}) == []


def test_the_file_system_is_asked_once_for_each_file(tmp_path, monkeypatch):
    records = [image(tmp_path / f"{i}", bytes(i + 1)) for i in range(20)]
    asked = []
    path = type(tmp_path)
    stat = path.stat
    monkeypatch.setattr(path, "stat", lambda self, **how: asked.append(self) or stat(self, **how))
    overlaps({"labeled": records[:5], "unlabeled": records[5:]})
    assert len(asked) == 20


def what(tmp_path, *sets, reused=False, allowed=False):
    a = image(tmp_path / "a")
    return remarks_on(overlaps({name: [a] for name in sets}), reused=reused, allowed=allowed)


@pytest.mark.parametrize("split", ["val", "test"])
def test_labeled_images_must_not_be_scored_on(tmp_path, split):
    with pytest.raises(UserError) as caught:
        what(tmp_path, "labeled", split)
    assert f"1 labeled image is also in {split} ({tmp_path / 'a'})" in str(caught.value)
    assert "--data.allow_overlap true" in str(caught.value)
    (line,) = what(tmp_path, "labeled", split, allowed=True)
    assert f"also in {split}" in line
    assert "this was allowed" in line


@pytest.mark.parametrize("split", ["val", "test"])
def test_unlabeled_images_that_are_scored_on_are_reported(tmp_path, split):
    (line,) = what(tmp_path, "unlabeled", split)
    assert f"1 unlabeled image is also in {split}" in line


def test_labeled_images_among_the_unlabeled_are_reported_unless_they_are_meant(tmp_path):
    (line,) = what(tmp_path, "labeled", "unlabeled")
    assert "1 labeled image is also in unlabeled" in line
    assert what(tmp_path, "labeled", "unlabeled", reused=True) == []
    assert what(tmp_path, "val", "test") == []


def test_several_images_are_counted_and_both_files_named(tmp_path):
    a, b = image(tmp_path / "a"), image(tmp_path / "b", b"two")
    c, d = image(tmp_path / "c"), image(tmp_path / "d", b"two")
    with pytest.raises(UserError) as caught:
        remarks_on(overlaps({"labeled": [a, b], "val": [c, d]}), reused=False, allowed=False)
    assert "2 labeled images are also in val (e.g. " in str(caught.value)
    assert f"{a.image} and {c.image}, equal in content" in str(caught.value)


def copy_image(tree, source, target):
    shutil.copy(tree / source, tree / target)


def put_into_val(tree, name, new):
    """A labeled pair again in val, under another name."""
    for kind in ("images", "masks"):
        copy_image(tree, f"train/{kind}/{name}.png", f"val/{kind}/{new}.png")


def test_a_run_that_would_be_scored_on_its_labels_is_refused(tree):
    put_into_val(tree, "a3", "new")
    with pytest.raises(UserError, match="1 labeled image is also in val") as caught:
        data_of(tree, labeled="all").prepare("fit", 2)
    for path in ("train/images/a3.png", "val/images/new.png"):
        assert str(tree / path) in str(caught.value)
    data = data_of(tree, labeled="all", allow_overlap=True)
    data.prepare("fit", 2)
    assert "this was allowed" in data.notices()[0]


def test_validation_of_a_finished_run_asks_nothing(tree):
    put_into_val(tree, "a3", "new")
    data_of(tree, labeled="all").prepare("validate", 0)


def test_an_unlabeled_image_in_val_is_remarked(tree):
    copy_image(tree, "val/images/a0.png", "unlabeled/copy.png")
    data = data_of(tree)
    data.prepare("fit", 2)
    (line,) = data.notices()
    assert "1 unlabeled image is also in val" in line
    without = data_of(tree)
    without.prepare("fit", 0)  # the supervised method shows no unlabeled images
    assert without.notices() == []


def test_a_folder_of_unlabeled_images_that_holds_the_labeled_ones(tree):
    data = data_of(tree, unlabeled=str(tree / "train" / "images"))
    data.prepare("fit", 2)
    assert "4 labeled images are also in unlabeled" in data.notices()[0]
    again = data_of(tree, reuse_labeled=True)
    again.prepare("fit", 2)
    assert again.notices() == []


def test_a_test_set_without_masks_does_not_hinder_training(tree):
    save(paint(draw_mask(np.random.default_rng(3))), tree / "test" / "images" / "t.png")
    data_of(tree).prepare("fit", 2)


def test_a_labeled_image_in_test_is_refused(tree):
    draw_pair(tree, "test", "t0", np.random.default_rng(9))
    data_of(tree, labeled="all").prepare("fit", 2)
    for kind in ("images", "masks"):
        copy_image(tree, f"train/{kind}/a1.png", f"test/{kind}/t1.png")
    with pytest.raises(UserError, match="1 labeled image is also in test"):
        data_of(tree, labeled="all").prepare("fit", 2)


def test_remarks_of_the_split_come_along(tree, tmp_path):
    (tmp_path / "list.txt").write_text("a0\na1\na1\n")
    data = data_of(tree, labeled=str(tmp_path / "list.txt"))
    data.prepare("fit", 2)
    (line,) = data.notices()
    assert "names 1 image twice" in line


def test_the_way_of_selecting_is_an_option_and_in_the_summary(tree):
    data = SegmentationData(Folder(str(tree)), labeled="1/2", select="stratified", split_seed=3)
    assert data.describe()["split"] == "1/2 stratified seed 3"
    assert len(data.split.labeled) == 4
