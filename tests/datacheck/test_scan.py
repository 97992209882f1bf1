import numpy as np
import pytest

import ssseg
from tests.data.trees import draw_tree
from tests.datacheck.faults import examined, kinds


def test_masks_of_images_that_are_not_labeled_are_not_opened(tmp_path, capsys):
    root = draw_tree(tmp_path / "photos", train=10)
    _, report = examined(capsys, root, "--labeled", "4", "--split_seed", "3")
    chosen = ssseg.SegmentationData(
        ssseg.data.datasets.folder.Folder(str(root)), labeled=4, split_seed=3
    ).split
    for record in chosen.rest:
        record.mask.unlink()
        record.mask.mkdir()  # opening it would be an error
        record.mask.rmdir()
        record.mask.write_bytes(b"")
    code, report = examined(capsys, root, "--data.labeled=4", "--data.split_seed", "3")
    assert code == 0
    assert report["data"]["split"] == "4 seed 3"
    assert report["sets"]["labeled"]["images"] == report["sets"]["labeled"]["masks"] == 4
    assert report["sets"]["unlabeled"]["images"] == 6 + 4
    assert "mask_empty" not in kinds(report)
    assert examined(capsys, root)[0] == 1


def test_drawn_scenes_are_looked_at_too(capsys):
    options = {"train_images": 24, "val_images": 6, "test_images": 4, "size": 32, "labeled": 8}
    args = [f"--data.{name}={value}" for name, value in options.items()]
    code, report = examined(capsys, "--data", "street", *args)
    assert code == 0
    assert report["sets"]["unlabeled"] == {
        **{"images": 16, "readable": 16, "masks": 0, "ignored": None},
        **{"smallest": [32, 32], "median": [32, 32], "largest": [32, 32]},
        **{"channels": {"3": 16}, "values": {"uint8": 16}, "formats": {"drawn": 16}},
    }
    source = ssseg.data.datasets.Street(train_images=24, val_images=6, test_images=4, size=32)
    val = np.stack([source.read_mask(record) for record in source.records("val")])
    for info in report["classes"]:
        assert info["val"]["share"] == pytest.approx((val == info["id"]).mean())
