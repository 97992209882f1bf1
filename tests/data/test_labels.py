"""What masks hold is looked at before training, and what their values mean can be said."""

import numpy as np
import pytest

from ssseg.data.datasets.base import ClassInfo, Record, Source
from ssseg.data.datasets.class_list import read_classes
from ssseg.data.datasets.folder import Folder
from ssseg.data.labels import Counted, binary_sets, count_masks, problems_of_labels
from ssseg.data.module import SegmentationData
from ssseg.errors import UserError
from ssseg.types import IGNORE
from tests.data.trees import data_of, draw_mask, draw_tree, save, write_classes


def known(*names, ids=None, ignore=()):
    ids = ids or range(len(names))
    return {
        "classes": [{"name": n, "id": i} for n, i in zip(names, ids, strict=True)],
        "ignore": list(ignore),
    }


@pytest.mark.parametrize(
    ("content", "values"),
    [
        (["a", "b"], {}),
        (known("a", "b"), {}),
        (known("a", "b", ids=(1, 2), ignore=[0]), {0: IGNORE, 1: 0, 2: 1, 255: IGNORE}),
        (known("a", "b", ids=(0, 255)), {0: 0, 255: 1}),
        (known("a", "b", ids=(700, 30)), {700: 0, 30: 1, 255: IGNORE}),
        ({"classes": ["a", "b"], "ignore": [2, [9, 9, 9]]}, {0: 0, 1: 1, 2: 255, 255: 255}),
        ({"classes": ["a", "b"], "ignore": 2}, {0: 0, 1: 1, 2: 255, 255: 255}),
    ],
)
def test_a_class_list_says_what_values_mean(tmp_path, content, values):
    write_classes(tmp_path, content)
    assert read_classes(tmp_path / "classes.json").values == values


def test_masks_are_read_by_the_ids_of_the_class_list(tmp_path):
    root = draw_tree(tmp_path / "photos")
    write_classes(root, known("sky", "road", "car", ids=(1, 300, 3), ignore=[0]))
    ids = draw_mask(np.random.default_rng(0))
    written = np.array([1, 300, 3], np.uint16)[ids]
    written[0, :5] = 0
    written[1, :5] = 255
    save(written, root / "train" / "masks" / "a0.png")
    source = Folder(str(root))
    wanted = ids.copy()
    wanted[:2, :5] = IGNORE
    assert (source.read_mask(source.records("train")[0]) == wanted).all()


def mask(*numbers, ignored=0, odd=False, file="m.png"):
    pixels = [0] * 256
    pixels[: len(numbers)] = numbers
    pixels[IGNORE] = ignored
    return Counted(file, pixels, odd)


class Named(Source):
    def __init__(self, *names, explains_values=False):
        self.name, self.explains_values = "named", explains_values
        self.classes = [ClassInfo(name, (0, 0, 0)) for name in names]

    def records(self, split):
        return [Record(f"{split}/{i}", i, i) for i in range(4)]

    def read_image(self, record):
        return np.zeros((8, 8, 3), np.uint8)

    def read_mask(self, record):
        return np.full((8, 8), record.image % len(self.classes), np.uint8)


@pytest.mark.parametrize(
    ("sets", "said"),
    [
        ({"labeled": [mask(3, 4)], "val": [mask(3, 4)]}, []),
        ({"labeled": [mask(3, 0, ignored=4)]}, ["mask_binary"]),
        ({"labeled": [mask(3, 4)], "val": [mask(3, ignored=1)]}, ["mask_binary"]),
        # 255 beside 1: it is what is ignored
        (
            {"labeled": [mask(3, 4, ignored=1)], "val": [mask(3, ignored=1)]},
            ["class_not_in_val"],
        ),
        ({"labeled": [mask(3, 0)]}, ["one_class_labeled"]),
        ({"labeled": [mask(3, 0, odd=True)]}, ["class_not_labeled"]),
        ({"labeled": [mask(ignored=9)], "val": [mask(3, 4)]}, ["nothing_labeled"]),
        (
            {"labeled": [mask(3, 4), mask(ignored=9)], "val": [mask(3, 4)]},
            ["ignore_share", "mask_blank"],
        ),
        ({"labeled": [], "val": []}, []),
    ],
)
def test_what_is_wrong_with_labels(sets, said):
    found = problems_of_labels(Named("ground", "crack"), sets)
    assert [finding.kind for finding in found] == said


def test_values_that_the_class_list_explains_are_not_guessed():
    sets = {"labeled": [mask(3, ignored=4)]}
    assert binary_sets(Named("ground", "crack"), sets) == ["labeled"]
    assert binary_sets(Named("ground", "crack", explains_values=True), sets) == []


def test_pixels_are_counted(tmp_path):
    root = draw_tree(tmp_path / "photos", train=3)
    source = Folder(str(root))
    for _ in range(2):  # the second time from what is kept
        for record, one in zip(
            source.records("train"), count_masks(source, source.records("train")), strict=True
        ):
            ids = source.read_mask(record)
            assert one.file == f"train/masks/{record.id}.png"
            assert list(one.pixels) == np.bincount(ids.ravel(), minlength=256).tolist()


def test_a_class_without_a_labeled_pixel_is_remarked_on(tmp_path):
    root = draw_tree(tmp_path / "photos")
    for path in (root / "train" / "masks").iterdir():
        save(draw_mask(np.random.default_rng(1), num_classes=2), path)
    data = data_of(root)
    assert data.notices() == []
    data.prepare("fit", 2)
    (remark,) = data.notices()
    assert "1 class (car) never occurs in labeled masks and cannot be learned" in remark


def test_other_sources_are_looked_at_too():
    data = SegmentationData(Named("a", "b", "c"), labeled=2, batch_size=1, num_views=0)
    data.prepare("fit", 0)
    assert any("never occurs in labeled masks" in remark for remark in data.notices())
    with pytest.raises(UserError, match=r"'named' has one class, 'crack', .* of its own"):
        SegmentationData(Named("crack"))
