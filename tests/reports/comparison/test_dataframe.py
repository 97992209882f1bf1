import sys
import tomllib
from pathlib import Path
from statistics import mean, stdev

import pytest
from scipy.stats import ttest_rel

from tests.benchmarking.folders import STUDENTS, TEACHERS, study, write
from tests.reports.comparison.reports import points, report, rows


def test_numbers_for_programs_are_not_rounded(tmp_path):
    made = report(study(tmp_path))
    (row,) = [row for row in rows(made.table) if row["method"] == "classmix"]
    ours, base = points(TEACHERS["classmix"]), points(STUDENTS["supervised"])
    gains = [a - b for a, b in zip(ours, base, strict=True)]
    assert row["teacher, last"] == pytest.approx(mean(ours))
    assert row["teacher, last, std"] == pytest.approx(stdev(ours))
    assert row["student, last"] == pytest.approx(mean(points(STUDENTS["classmix"])))
    assert row["gain"] == pytest.approx(mean(gains))
    assert row["gain, std"] == pytest.approx(stdev(gains))
    assert row["p"] == pytest.approx(ttest_rel(ours, base).pvalue)
    assert row["pairs"] == 3
    assert len(rows(made.runs)) == 6


def test_data_frames_where_pandas_is_there(tmp_path, monkeypatch):
    write(tmp_path / "a")
    monkeypatch.setitem(sys.modules, "pandas", None)
    assert isinstance(report(tmp_path).table, list)
    asked = type("pandas", (), {"DataFrame": staticmethod(lambda rows: ("frame", rows))})
    monkeypatch.setitem(sys.modules, "pandas", asked)
    assert report(tmp_path).table[0] == report(tmp_path).runs[0] == "frame"
    extras = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())
    assert any(
        p.startswith("pandas") for p in extras["project"]["optional-dependencies"]["notebook"]
    )
