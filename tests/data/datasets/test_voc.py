"""PASCAL VOC 2012: which images, whose masks, in which order."""

import numpy as np
import pytest
from PIL import Image

from ssseg.data.datasets.voc import Voc
from ssseg.data.splits.labeled_split import split_labeled
from tests.data.official_trees import SIZE, draw_sbd, draw_voc, save_palette, voc_ids, write_list
from tests.data.trees import ids, save


@pytest.fixture
def tree(tmp_path):
    return draw_voc(tmp_path)


def pixels(path):
    with Image.open(path) as image:
        return np.array(image)


def test_colors_are_the_official_ones():
    colors = {info.name: info.color for info in Voc.classes}
    assert len(set(colors.values())) == 21
    assert colors["background"] == (0, 0, 0)
    assert colors["aeroplane"] == (128, 0, 0)
    assert colors["chair"] == (192, 0, 0)
    assert colors["person"] == (192, 128, 128)
    assert colors["tvmonitor"] == (0, 64, 128)


@pytest.mark.parametrize("place", ["", "VOC2012"])
def test_the_tree_is_found_in_the_folder_around_it(tmp_path, place):
    draw_voc(tmp_path / "VOCdevkit")
    for root in (tmp_path, tmp_path / "VOCdevkit", tmp_path / "VOCdevkit" / "VOC2012"):
        assert len(Voc(str(root)).records("train")) == 5


def test_augmented_masks_without_a_list(tree):
    source = Voc(str(tree))
    assert ids(source.records("train")) == voc_ids(1, 3, 5, 6, 7)
    assert ids(source.records("val")) == voc_ids(2, 4)
    assert source.records("test") == []
    assert {record.mask.parent.name for record in source.records("train")} == {
        "SegmentationClassAug"
    }
    # those of validation always have VOC's own
    assert {record.mask.parent.name for record in source.records("val")} == {"SegmentationClass"}
    assert source.unlabeled() == []
    source.check(source.records("train") + source.records("val"))


@pytest.mark.parametrize(
    "name",
    [
        "ImageSets/Segmentation/train_aug.txt",
        "ImageSets/Segmentation/trainaug.txt",
        "ImageSets/SegmentationAug/train_aug.txt",
    ],
)
@pytest.mark.parametrize(
    "line", ["{}", "/JPEGImages/{}.jpg /SegmentationClassAug/{}.png", "JPEGImages/{}.jpg"]
)
def test_a_list_of_the_augmented_set_gives_the_order(tree, name, line):
    order = voc_ids(6, 1, 7, 3, 5)
    write_list(tree / name, [line.replace("{}", i) for i in order], end="\r\n")
    assert ids(Voc(str(tree)).records("train")) == order


def test_a_list_may_begin_with_a_byte_order_mark_and_end_in_empty_lines(tree):
    path = tree / "ImageSets" / "Segmentation" / "train.txt"
    path.write_bytes(b"\xef\xbb\xbf2007_000005\r\n2007_000001\r\n\r\n")
    assert ids(Voc(str(tree), masks="voc").records("train")) == voc_ids(5, 1)


def test_only_the_masks_of_voc(tree):
    for path in (tree / "SegmentationClassAug").iterdir():
        path.unlink()
    (tree / "SegmentationClassAug").rmdir()
    source = Voc(str(tree), masks="voc")
    assert ids(source.records("train")) == voc_ids(3, 1, 5)  # the order of train.txt
    assert source.unlabeled() == []
    more = Voc(str(tree), masks="voc", unlabeled=str(tree / "JPEGImages"))
    assert len(more.unlabeled()) == 8


def test_masks_of_sbd(tree, tmp_path):
    draw_sbd(tmp_path)
    for given in ("", "benchmark_RELEASE", "benchmark_RELEASE/dataset"):
        source = Voc(str(tree), sbd=str(tmp_path / given))
        # SBD train + SBD val + VOC train, minus VOC val
        assert ids(source.records("train")) == voc_ids(1, 3, 5, 6, 7)
    endings = [record.mask.suffix for record in source.records("train")]
    assert endings == [".png", ".png", ".png", ".mat", ".mat"]
    mask = source.read_mask(source.records("train")[3])
    assert mask.dtype == np.uint8
    assert mask.shape == SIZE
    assert (mask == 6).all()
    own = source.read_mask(source.records("train")[0])
    assert np.array_equal(own, pixels(tree / "SegmentationClass" / "2007_000001.png"))
    source.check(source.records("train"))


def test_every_class_and_void_come_out_as_they_are(tree):
    mask = np.append(np.arange(21), [255] * 3).astype(np.uint8).reshape(4, 6)
    for name in ("SegmentationClass", "SegmentationClassAug"):
        save_palette(mask, tree / name / "2007_000001.png")
    for masks in ("voc", "aug"):
        source = Voc(str(tree), masks=masks)
        record = next(r for r in source.records("train") if r.id == "2007_000001")
        assert np.array_equal(source.read_mask(record), mask)
    # without a palette, as tools write it
    save(mask, tree / "SegmentationClassAug" / "2007_000001.png")
    assert np.array_equal(source.read_mask(record), mask)


def test_protocol(tree):
    source = Voc(str(tree))
    assert source.protocols() == {"1464": voc_ids(3, 1, 5)}
    split = split_labeled(source.records("train"), "1464", 0, source=source)
    assert ids(split.labeled) == voc_ids(1, 3, 5)
    assert ids(split.rest) == voc_ids(6, 7)


def test_nothing_is_decoded_to_list_records(tree):
    for path in tree.rglob("*.*g"):
        path.write_bytes(b"")
    source = Voc(str(tree))
    assert len(source.records("train")) == 5
    assert len(source.records("val")) == 2
