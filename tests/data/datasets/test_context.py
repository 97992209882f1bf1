"""PASCAL-Context: three forms of label maps, one order of classes."""

import numpy as np
import pytest
import scipy.io

from ssseg.data.datasets.context import CLASSES, Context
from tests.data.official_trees import (
    CONTEXT_TRAIN,
    CONTEXT_VAL,
    draw_context,
    write_detail,
    write_list,
)
from tests.data.trees import ids, save

FORMS = pytest.mark.parametrize("form", ["png", "mat", "json"])


def test_classes():
    """In alphabetical order, which is that of the 459 labels."""
    names = [info.name for info in CLASSES.values()]
    assert len(names) == len(set(names)) == 59
    assert names == sorted(names)
    assert list(CLASSES) == sorted(CLASSES)
    assert names[:3] == ["aeroplane", "bag", "bed"]
    assert len({info.color for info in CLASSES.values()}) == 58  # bicycle's is snow's, as in mmseg


@FORMS
def test_records(tmp_path, form):
    home = draw_context(tmp_path, form)
    for root in (tmp_path, home):
        source = Context(str(root))
        # JSON has no order of its own
        train = sorted(CONTEXT_TRAIN) if form == "json" else list(CONTEXT_TRAIN)
        assert ids(source.records("train")) == train
        val = sorted(CONTEXT_VAL) if form == "json" else list(CONTEXT_VAL)
        assert ids(source.records("val")) == val
        assert source.records("test") == []
        assert source.num_classes == 59
    source.check(source.records("train") + source.records("val"))


def expected_ids(labels, original, background):
    """Written as plainly as possible."""
    numbers = list(CLASSES) if original else list(range(1, 60))
    out = np.full(labels.shape, 255 if background is None else background)
    for place, number in enumerate(numbers):
        out[labels == number] = place + (background is not None)
    if not original:
        out[labels == 255] = 255
    return out


@pytest.mark.parametrize(("classes", "background"), [(59, None), (60, 0)])
@FORMS
def test_every_value(tmp_path, form, classes, background):
    home = draw_context(tmp_path, form)
    labels = np.arange(460).reshape(20, 23)
    if form == "png":
        labels = np.append(np.arange(60), [255] * 4).reshape(8, 8)
    name = CONTEXT_TRAIN[0]
    if form == "png":
        save(labels.astype(np.uint8), home / "SegmentationClassContext" / f"{name}.png")
    elif form == "mat":
        path = home / "trainval" / f"{name}.mat"
        scipy.io.savemat(path, {"LabelMap": labels.astype(np.uint16)})
    else:
        write_detail(home / "trainval_merged.json", {name: labels}, {name})
    source = Context(str(home), classes=classes)
    assert source.num_classes == classes
    record = next(record for record in source.records("train") if record.id == name)
    found = source.read_mask(record)
    assert found.dtype == np.uint8
    assert np.array_equal(found, expected_ids(labels, form != "png", background))


def test_lists_of_mat_files(tmp_path):
    home = draw_context(tmp_path, "mat")
    write_list(home / "train.txt", [CONTEXT_VAL[1]])
    assert ids(Context(str(home)).records("train")) == [CONTEXT_VAL[1]]


def test_the_official_labels_are_compared(tmp_path):
    home = draw_context(tmp_path, "mat")
    lines = [
        f"{n}: {CLASSES[n].name if n in CLASSES else 'air conditioner'}" for n in range(1, 460)
    ]
    write_list(home / "labels.txt", lines, end="\r\n")
    Context(str(home))
