import numpy as np
import pytest

from ssseg.data.datasets.class_list import default_color, read_classes
from ssseg.data.datasets.folder import Folder
from ssseg.errors import UserError
from tests.data.trees import error_of, write_classes


def test_classes_as_a_list_of_names_and_as_objects(tree):
    write_classes(tree, ["sky", "road", "car"])
    plain = Folder(str(tree)).classes
    assert [c.name for c in plain] == ["sky", "road", "car"]
    assert len({c.color for c in plain}) == 3
    entries = [
        {"id": 0, "name": "sky", "color": [70, 130, 180]},
        {"name": "road", "pixels": 0.3},
        {"id": 2, "name": "car", "color": [0, 0, 142]},
    ]
    write_classes(tree, {"name": "mine", "classes": entries})
    full = Folder(str(tree)).classes
    assert [c.name for c in full] == ["sky", "road", "car"]
    assert [full[0].color, full[2].color] == [(70, 130, 180), (0, 0, 142)]
    assert full[1].color == plain[1].color
    write_classes(tree, [*entries[:2], "car"])
    assert Folder(str(tree)).classes == [*full[:2], plain[2]]


def test_classes_written_by_a_windows_editor(tree):
    text = '["cielo", "calle", "coche año"]'
    (tree / "classes.json").write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert [c.name for c in Folder(str(tree)).classes] == ["cielo", "calle", "coche año"]


def test_default_colors_are_distinct():
    for count in (1, 2, 3, 7, 11, 19, 21, 59, 150, 171, 255):
        colors = {default_color(place, count) for place in range(count)}
        assert len(colors) == count
        assert all(0 <= c <= 255 for color in colors for c in color)
    # few classes must be told apart by eye
    colors = np.array([default_color(place, 8) for place in range(8)])
    distances = np.abs(colors[:, None] - colors[None]).sum(2)
    assert distances[~np.eye(8, dtype=bool)].min() > 60


def test_255_classes(tree):
    write_classes(tree, [f"class {i}" for i in range(255)])
    assert Folder(str(tree)).num_classes == 255


@pytest.mark.parametrize(
    "content",
    ["", "null", "7", '"sky"', "[]", "{}", "[[]]", "[null]", "[{}]", '{"classes": 3}', "[1, 2]"],
)
def test_nonsense_in_classes_json(tmp_path, content):
    path = tmp_path / "classes.json"
    path.write_text(content)
    with pytest.raises(UserError) as caught:
        read_classes(path)
    assert str(path) in str(caught.value)


def test_classes_json_that_is_a_folder(tree):
    (tree / "classes.json").unlink()
    (tree / "classes.json").mkdir()
    assert f"{tree}/classes.json" in error_of(tree)
