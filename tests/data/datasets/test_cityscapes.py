"""Cityscapes: label ids to the 19 evaluated classes, and nothing from other files."""

import numpy as np

from ssseg.data.datasets.cityscapes import Cityscapes
from tests.data.official_trees import CITYSCAPES_LABELS, draw_cityscapes
from tests.data.trees import ids, save

# cityscapesScripts/helpers/labels.py, trainId by id
TRAIN_IDS = dict.fromkeys(CITYSCAPES_LABELS, 255) | {
    **{7: 0, 8: 1, 11: 2, 12: 3, 13: 4, 17: 5, 19: 6, 20: 7, 21: 8, 22: 9, 23: 10, 24: 11},
    **{25: 12, 26: 13, 27: 14, 28: 15, 31: 16, 32: 17, 33: 18},
}


def test_records_are_sorted_by_path(tmp_path):
    source = Cityscapes(str(draw_cityscapes(tmp_path)))
    assert ids(source.records("train")) == [
        *(f"aachen_{i:06d}_000019" for i in (0, 2, 4)),
        *(f"zurich_{i:06d}_000019" for i in (1, 3, 5)),
    ]
    assert ids(source.records("val")) == ["frankfurt_000000_000019", "lindau_000001_000019"]
    assert source.unlabeled() == []
    assert source.num_classes == 19
    assert source.classes[0] == ("road", (128, 64, 128))
    assert source.classes[18] == ("bicycle", (119, 11, 32))
    source.check(source.records("train") + source.records("val"))


def test_the_test_masks_are_dummies(tmp_path):
    assert Cityscapes(str(draw_cityscapes(tmp_path, test=2))).records("test") == []


def test_every_label_id(tmp_path):
    source = Cityscapes(str(draw_cityscapes(tmp_path)))
    record = source.records("train")[0]
    labels = np.array([*CITYSCAPES_LABELS, 255, 0], np.uint8).reshape(4, 9)
    save(labels, record.mask)
    expected = np.array([*TRAIN_IDS.values(), 255, 255]).reshape(4, 9)
    found = source.read_mask(record)
    assert found.dtype == np.uint8
    assert np.array_equal(found, expected)


def test_train_ids_of_other_tools_play_no_part(tmp_path):
    source = Cityscapes(str(draw_cityscapes(tmp_path)))
    before = [source.read_mask(record) for record in source.records("train")]
    for path in tmp_path.rglob("*_labelTrainIds.png"):
        path.write_bytes(b"")
    again = Cityscapes(str(tmp_path))
    after = [again.read_mask(record) for record in again.records("train")]
    assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))


def test_training_images_without_masks_are_unlabeled(tmp_path):
    draw_cityscapes(tmp_path)
    (tmp_path / "gtFine/train/aachen/aachen_000002_000019_gtFine_labelIds.png").unlink()
    source = Cityscapes(str(tmp_path))
    assert len(source.records("train")) == 5
    assert ids(source.unlabeled()) == ["aachen_000002_000019"]


def test_extra_images_have_no_masks(tmp_path):
    draw_cityscapes(tmp_path, extra=3)
    assert Cityscapes(str(tmp_path)).unlabeled() == []
    extra = Cityscapes(str(tmp_path), train_extra=True).unlabeled()
    assert len(extra) == 3
    assert {record.mask for record in extra} == {None}
    more = Cityscapes(str(tmp_path), unlabeled=[str(tmp_path / "leftImg8bit" / "test")])
    assert ids(more.unlabeled()) == ["berlin/berlin_000000_000019_leftImg8bit.png"]
