"""Classes that masks name by themselves."""

import json

import numpy as np
import pytest

from tests.data.loose import mask, opened, prepared, sound, usual
from tests.data.trees import paint

BINARY = {
    "0 and 255": lambda ids: (ids > 0).astype(np.uint8) * 255,
    "as colour": lambda ids: np.stack([(ids > 0).astype(np.uint8) * 255] * 3, -1),
    "bits": lambda ids: ids > 0,
    "0 and 1": lambda ids: (ids > 0).astype(np.uint8),
}


@pytest.mark.parametrize("kind", BINARY)
def test_two_classes_however_they_are_written(tmp_path, kind):
    source = opened(usual(tmp_path, write=BINARY[kind]))
    prepared(source)
    for record in source.records("train"):
        number = int(record.id[1:])
        assert np.array_equal(source.read_mask(record), mask(number) > 0)
    names = [info.name for info in source.classes]
    written = (
        ["class 0", "class 1"] if kind in ("0 and 1", "bits") else ["background", "foreground"]
    )
    assert names == written


def test_255_is_ignored_where_there_is_more(tmp_path):
    def edged(ids):
        ids = ids.copy()
        ids[20:] = 255
        return ids

    source = opened(usual(tmp_path, write=edged))
    assert [info.name for info in source.classes] == ["class 0", "class 1", "class 2"]
    record = source.records("train")[0]
    assert np.array_equal(source.read_mask(record), edged(mask(int(record.id[1:]))))
    assert "(255 is ignored)" in source.choices()[0]


def test_ids_from_1_are_said(tmp_path):
    source = opened(usual(tmp_path, write=lambda ids: ids + 1))
    assert "no mask holds 0, so that classes are taken to count from 1" in source.choices()[0]


def test_names_of_a_class_list_are_taken(tmp_path):
    usual(tmp_path, write=lambda ids: ids + 1)
    entries = [{"name": name, "id": 1 + i} for i, name in enumerate(("sky", "road", "car"))]
    (tmp_path / "masks" / "classes.json").write_text(json.dumps({"classes": entries}))
    source = sound(opened(tmp_path))
    assert [info.name for info in source.classes] == ["sky", "road", "car"]
    assert not any("classes.json" in sentence for sentence in source.choices())


def test_the_proposed_class_list_is_the_derived_one(tmp_path):
    for write in (lambda ids: ids + 1, lambda ids: paint(ids) * np.array([1, 0, 0], np.uint8)):
        root = tmp_path / str(len(list(tmp_path.iterdir())))
        source = opened(usual(root, write=write))
        (root / "masks" / "classes.json").write_text(source.derived.text)
        again = sound(opened(root))
        assert again.class_file == source.class_file
