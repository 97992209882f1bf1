import pytest

from tests.data.trees import CLASSES, draw_tree, paint, save
from tests.datacheck.faults import contents, examined, mask, read


def plain_counts(root, split):
    """Pixels of each value of the masks of a split, and the masks that hold it."""
    masks = [read(path) for path in sorted((root / split / "masks").iterdir())]
    pixels = {v: sum(int((m == v).sum()) for m in masks) for v in (0, 1, 2, 255)}
    images = {v: sum(bool((m == v).any()) for m in masks) for v in (0, 1, 2, 255)}
    return pixels, images


def test_a_healthy_tree(tmp_path, capsys):
    root = draw_tree(tmp_path / "photos", train=9, val=3, test=2, unlabeled=6, size=(70, 100))
    save(paint(mask(0, (200, 150))), root / "unlabeled" / "deep" / "tall.jpg")
    for path in (root / "train" / "masks").iterdir():
        ids = read(path).copy()
        ids[:7] = 255
        save(ids, path)
    before = contents(root)
    code, report = examined(capsys, root)
    assert code == 0
    assert contents(root) == before
    assert report["findings"] == []
    ok = {"ok": True, "errors": 0, "warnings": 0, "notes": 0, "text": "training can start"}
    assert report["verdict"] == ok
    assert report["data"] == {
        "name": "photos",
        "in_channels": 3,
        "values": "uint8",
        "split": "all",
    }
    number = {name: numbers["images"] for name, numbers in report["sets"].items()}
    assert number == {"labeled": 9, "unlabeled": 7, "val": 3, "test": 2}
    labeled, unlabeled = report["sets"]["labeled"], report["sets"]["unlabeled"]
    assert labeled["ignored"] == 0.1
    assert labeled["masks"] == 9
    assert unlabeled["masks"] == 0
    assert unlabeled["ignored"] is None
    assert unlabeled["smallest"] == unlabeled["median"] == [70, 100]
    assert unlabeled["largest"] == [200, 150]
    assert unlabeled["formats"] == {"png": 6, "jpeg": 1}
    assert labeled["channels"] == {"3": 9}
    assert labeled["values"] == {"uint8": 9}
    for role, split in (("labeled", "train"), ("val", "val"), ("test", "test")):
        pixels, images = plain_counts(root, split)
        valid = pixels[0] + pixels[1] + pixels[2]
        for i, name in enumerate(CLASSES):
            assert report["classes"][i]["name"] == name
            found = report["classes"][i][role]
            assert found == {"share": pytest.approx(pixels[i] / valid), "images": images[i]}
    assert report["proposal"]["crop_size"] == [64, 64]
    assert report["proposal"]["option"] == '--data.crop_size "[64, 64]"'
    estimate = report["estimate"]
    assert estimate["exposures"] == {"labeled": 800 * 4 / 9, "unlabeled": 800 * 4 / 7}
    assert estimate["memory"]["images"] == 8
    assert estimate["memory"]["network"] == "deeplabv3plus on mobilenetv2_100"
