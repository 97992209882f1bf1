import numpy as np

import ssseg
from tests.data.trees import draw_mask, draw_tree, save
from tests.datacheck.faults import COLORS, colored, finding, kinds, with_palette


def test_values_help_to_write_the_missing_class_list(tmp_path):
    root = draw_tree(tmp_path / "photos")
    (root / "classes.json").write_text('["sky", "road",]')
    report = ssseg.doctor(root=root)
    assert "line 1" in finding(report, "classes")["text"]
    assert "the values 0, 1 and 2" in finding(report, "classes_found")["text"]


def test_smooth_masks_are_explained(tmp_path):
    root = draw_tree(tmp_path / "photos")
    colored()(root)
    rng = np.random.default_rng(0)
    save(rng.integers(0, 255, (24, 32, 3), np.uint8), root / "train" / "masks" / "a2.png")
    assert "JPEG" in finding(ssseg.doctor(root=root), "mask_unknown_colors")["text"]


def test_one_palette_for_all_is_no_fault_whatever_values_a_mask_holds(tmp_path):
    root = draw_tree(tmp_path / "photos")
    for i in range(8):
        ids = draw_mask(np.random.default_rng(i), num_classes=1 + i % 3)
        unused = [(i, i, i)] * 5
        with_palette(ids, COLORS[: 1 + i % 3] + unused, root / "train" / "masks" / f"a{i}.png")
    assert "mask_palette" not in kinds(ssseg.doctor(root=root))
