"""What the report says: means, gains, tests, and who stands in one table."""

import re
import subprocess
import sys
from statistics import mean, stdev
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image
from scipy.stats import ttest_1samp, ttest_rel

from tests.benchmarking.folders import STUDENTS, TEACHERS, study, write, write_metrics
from tests.reports.comparison.reports import line, notes, points, report


def test_mean_spread_gain_and_test_are_those_of_plain_lists(tmp_path):
    made = report(study(tmp_path))
    assert len(made.tables) == 1
    ours, base = points(TEACHERS["classmix"]), points(STUDENTS["supervised"])
    gains = [a - b for a, b in zip(ours, base, strict=True)]
    cells = {name: cell.text for name, cell in line(made, "classmix").items()}
    assert cells == {
        "method": "classmix",
        "seeds": "3",
        "student, last": "47.7 ± 2.1",
        "teacher, last": "48.3 ± 3.5",
        "gain over supervised": f"+{mean(gains):.1f} ± {stdev(gains):.1f}",
        "paired t-test": f"p = {ttest_rel(ours, base).pvalue:.3f}, n = 3",
        "best seen": "50.3 ± 3.5",
    }
    assert ttest_1samp(gains, 0).pvalue == pytest.approx(ttest_rel(ours, base).pvalue)
    supervised = line(made, "supervised")
    assert supervised["teacher, last"].text == supervised["gain over supervised"].text == "-"


class TestFingerprints:
    """Runs of one seed should differ in the method alone; where they do not, it is said."""

    def leave(self, folder, classmix, supervised=("n", "l", None)):
        for method, prints in (("supervised", supervised), ("classmix", classmix)):
            names = ("network", "labeled", "unlabeled")
            found = {n: p for n, p in zip(names, prints, strict=True) if p is not None}
            write(folder / method, method, 0.5, fingerprints=found)
        return notes(report(folder))

    def test_the_same_start_needs_no_remark(self, tmp_path):
        assert "Runs of one seed" not in self.leave(tmp_path, ("n", "l", "u"))

    @pytest.mark.parametrize(
        ("prints", "said"),
        [
            (("m", "l", "u"), "did not start from the same weights: supervised and classmix"),
            (("n", "k", "u"), "were not shown the same labeled images, augmented alike"),
        ],
    )
    def test_another_start_is_said(self, tmp_path, prints, said):
        assert said in self.leave(tmp_path, prints)

    def test_seeds_may_differ(self, tmp_path):
        for seed in range(2):
            for method in ("supervised", "classmix"):
                found = {"network": f"n{seed}", "labeled": f"l{seed}"}
                write(tmp_path / f"{method}{seed}", method, 0.5, seed=seed, fingerprints=found)
        assert "Runs of one seed" not in notes(report(tmp_path))


def test_what_is_saved(tmp_path):
    for folder in study(tmp_path / "runs").iterdir():
        write_metrics(folder, train__trusted=[0.2, 0.4], train__pseudo_accuracy=[0.7, 0.8])
    made = report(tmp_path / "runs")
    page = made.save(tmp_path / "out" / "deep")
    names = ["scores", "curves", "trusted", "accuracy"]
    files = {f"{name}.{ending}" for name in names for ending in ("png", "svg")}
    files |= {"report.html", "report.md", "report.tex", "runs.csv"}
    assert {path.name for path in page.parent.iterdir()} == files
    assert page.name == "report.html"
    for name in names:
        assert np.asarray(Image.open(page.parent / f"{name}.png").convert("L")).std() > 5
        ElementTree.parse(page.parent / f"{name}.svg")
    assert list(made.figures) == names
    text = (page.parent / "report.md").read_text()
    assert set(re.findall(r"!\[.*?\]\((.*?)\)", text)) == {f"{name}.png" for name in names}
    for said in ("16 seed 0", "abc123", "128 validation images", "whole image", "torch 2"):
        assert said in text
        assert said in page.read_text()
    assert repr(made) == "<Report of 6 runs, tables: 1>"
    again = report(tmp_path / "runs").save(tmp_path / "again")
    assert again.read_text() == page.read_text(), "the same runs make the same page"


def test_a_report_is_made_without_torch(tmp_path):
    write(tmp_path / "a")
    code = (
        "import sys, ssseg; ssseg.report(sys.argv[1]).save(sys.argv[2]);"
        "assert not {'torch', 'pytorch_lightning'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, tmp_path, tmp_path / "out"], check=True)
