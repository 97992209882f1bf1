import numpy as np
from PIL import Image

import ssseg
from tests.reports.comparison.columns import STUDY, plan


def test_the_picture_is_drawn_from_files(tmp_path):
    ssseg.report(plan(tmp_path, *STUDY)).save_columns(tmp_path)
    pixels = np.asarray(Image.open(tmp_path / "comparison.png").convert("RGB"))
    assert pixels.shape[0] > 500
    assert pixels.std() > 10


def test_labels_of_a_picture_may_be_any_text(tmp_path):
    labels = ["$5 and $6", "_hidden", "100 %", "λ < 0.1", "a\\b", "$\\frac{$"]
    plan(tmp_path, *((label, "", "classmix", 0.5, 0.6, 0) for label in labels))
    ssseg.report(tmp_path).save_columns(tmp_path)
    assert (tmp_path / "comparison.png").is_file()
