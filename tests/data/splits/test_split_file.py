"""A split that is kept names the same images later, wherever they lie."""

import json

import pytest

from ssseg.errors import UserError
from tests.data.loose import mask, masks_of, opened, photographs, usual
from tests.data.trees import ids, paint, save


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
