"""CamVid: 32 colours to 11 classes, split by sequences."""

import numpy as np
import pytest

from ssseg.data.datasets.camvid import LABELS, CamVid
from tests.data.official_trees import CAMVID_FRAMES, draw_camvid, write_list
from tests.data.trees import ids, save

COLORS = [color for color, _ in LABELS.values()]
GROUPS = {  # SegNet's eleven, in order
    "sky": "Sky",
    "building": "Archway Bridge Building Tunnel Wall",
    "pole": "Column_Pole TrafficCone",
    "road": "LaneMkgsDriv LaneMkgsNonDriv Road",
    "pavement": "ParkingBlock RoadShoulder Sidewalk",
    "tree": "Tree VegetationMisc",
    "sign symbol": "Misc_Text SignSymbol TrafficLight",
    "fence": "Fence",
    "car": "Car OtherMoving SUVPickupTruck Train Truck_Bus",
    "pedestrian": "Animal CartLuggagePram Child Pedestrian",
    "bicyclist": "Bicyclist MotorcycleScooter",
}


@pytest.fixture
def tree(tmp_path):
    return draw_camvid(tmp_path, COLORS)


def test_the_official_colors():
    assert len(LABELS) == len(set(COLORS)) == 32
    # all have 0, 64, 128 or 192 in each channel
    assert not {value for color in COLORS for value in color} - {0, 64, 128, 192}


def test_split_by_sequences(tree):
    source = CamVid(str(tree))
    for split, names in CAMVID_FRAMES.items():
        assert ids(source.records(split)) == list(names)
    source.check([r for split in CAMVID_FRAMES for r in source.records(split)])
    assert [info.name for info in source.classes] == list(GROUPS)


def test_lists_win(tree):
    write_list(tree / "train.txt", ["0016E5_07959", "/SegNet/CamVid/train/0001TP_008550.png x.png"])
    source = CamVid(str(tree))
    assert ids(source.records("train")) == ["0016E5_07959", "0001TP_008550"]
    assert source.records("val") == []


def test_every_color_in_eleven_classes(tree):
    source = CamVid(str(tree))
    record = source.records("train")[0]
    save(np.array(COLORS, np.uint8).reshape(4, 8, 3), record.mask)
    found = dict(zip(LABELS, source.read_mask(record).ravel().tolist(), strict=True))
    expected = {name: i for i, names in enumerate(GROUPS.values()) for name in names.split()}
    assert found == expected | {"Void": 255}


def test_every_color_in_its_own_class(tree):
    source = CamVid(str(tree), classes=32)
    assert [info.name for info in source.classes] == [n for n in LABELS if n != "Void"]
    record = source.records("train")[0]
    save(np.array(COLORS, np.uint8).reshape(4, 8, 3), record.mask)
    mask = source.read_mask(record)
    shown = [source.classes[i].color if i < 255 else (0, 0, 0) for i in mask.ravel()]
    assert shown == COLORS
    assert (mask == 255).sum() == 1


def test_label_colors_of_the_tree(tree):
    lines = [f"{r} {g} {b}\t\t{name}" for name, (r, g, b) in zip(LABELS, COLORS, strict=True)]
    write_list(tree / "label_colors.txt", [*lines, "1 2 3\tVoid", ""], end="\r\n")
    source = CamVid(str(tree))
    record = source.records("train")[0]
    save(np.array([[(1, 2, 3), (64, 0, 128)]], np.uint8), record.mask)
    assert source.read_mask(record).tolist() == [[255, 8]]
