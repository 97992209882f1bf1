"""Classes that masks name by themselves, and images that are held out of a folder."""

import json

import numpy as np
import pytest

from ssseg.errors import UserError
from tests.data.loose import mask, masks_of, opened, photographs, prepared, sound, usual
from tests.data.trees import ids, paint, save

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


@pytest.mark.parametrize(("count", "held"), [(1, 0), (2, 1), (3, 1), (5, 1), (8, 2), (30, 6)])
def test_few_masks(tmp_path, count, held):
    source = opened(usual(tmp_path, labeled=count))
    data = prepared(source)
    assert len(source.records("val")) == held
    assert len(source.records("train")) == count - held
    assert data.batch_size == min(4, count - held)
    said = " ".join(data.notices())
    if held:
        assert f"{held} of {count} labeled images are held out" in said
        assert f"a score on {held} image" in said
    else:
        assert "so that there are no scores" in said


def test_every_image_labeled_trains_with_labels_alone(tmp_path):
    prepared(opened(usual(tmp_path, unlabeled=0)), num_views=0)


def test_held_out_images_do_not_depend_on_names(tmp_path):
    first, second = usual(tmp_path / "1"), usual(tmp_path / "2")
    for place in ("photos", "masks"):
        for path in sorted((second / place).glob("a*.png")):
            path.rename(path.with_name(f"b{path.name}"))
    one, two = opened(first), opened(second)
    assert [f"b{name}" for name in ids(one.records("val"))] == ids(two.records("val"))


def test_equal_images_are_held_out_together(tmp_path):
    root = usual(tmp_path)
    for number in range(1, 5):
        for place in ("photos", "masks"):
            source = root / place / "a0.png"
            (root / place / f"a{number}.png").write_bytes(source.read_bytes())
    held = {f"a{number}" for number in range(5)}
    for seed in range(5):
        val = set(ids(opened(root, val="5", val_seed=seed).records("val")))
        assert val & held in (set(), held)
        prepared(opened(root, val="5", val_seed=seed))


def test_a_test_share_is_apart(tmp_path):
    source = opened(usual(tmp_path), test="2", val="3")
    sets = [set(ids(source.records(split))) for split in ("train", "val", "test")]
    assert [len(one) for one in sets] == [5, 3, 2]
    assert len(set.union(*sets)) == 10


def test_a_split_is_kept_while_labels_are_added(tmp_path):
    root = usual(tmp_path)
    before = opened(root)
    kept = tmp_path / "split.json"
    kept.write_text(json.dumps(before.split_document()))
    photographs(root / "photos", [f"b{number}" for number in range(20, 60)])
    masks_of(root / "masks", [f"b{number}" for number in range(20, 60)])
    for number, path in enumerate(sorted((root / "photos").glob("b*.png"))):
        save(paint(mask(100 + number)), path)
    after = opened(root, split=str(kept))
    assert ids(after.records("val")) == ids(before.records("val"))
    assert len(after.records("train")) == 48
    assert after.class_file._replace(path=None) == before.class_file._replace(path=None)
    (root / "photos" / f"{before.records('val')[0].id}.png").unlink()
    with pytest.raises(UserError, match="but none of the 49 images with masks has its content"):
        opened(root, split=str(kept))


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"val": [{}], "test": []}'])
def test_a_split_that_is_none(tmp_path, content):
    kept = tmp_path / "split.json"
    kept.write_text(content)
    (tmp_path / "names.json").write_text('["a", "b", "c"]')
    with pytest.raises(UserError, match=r"expected the split\.json of a run"):
        opened(usual(tmp_path), split=str(kept), classes=str(tmp_path / "names.json"))
