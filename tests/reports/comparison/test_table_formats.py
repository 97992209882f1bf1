"""What the report writes: Markdown, LaTeX, CSV, plots and the page."""

import csv
import io
import json
from pathlib import Path

import pytest

import ssseg
from ssseg.reports.comparison.table_formats import Cell, Table, latex, markdown, tex
from tests.benchmarking.folders import study, write
from tests.reports.comparison.pages import check_latex, report


def test_latex(tmp_path):
    text = report(study(tmp_path)).latex()
    check_latex(text)
    assert text.count(r"\toprule") == text.count(r"\bottomrule") == 3
    assert r"47.7 $\pm$ 2.1" in text
    assert r"\usepackage{booktabs}" in text.splitlines()[0]


def test_signs_of_latex():
    assert tex("a & b % c _ d # e $ f { g } ~ ^ \\ | < >") == (
        r"a \& b \% c \_ d \# e \$ f \{ g \} \textasciitilde{} \textasciicircum{} "
        r"\textbackslash{} \textbar{} \textless{} \textgreater{}"
    )
    table = Table(
        "t", ["a", "b"], [[Cell("x_1"), Cell("5 ± 1", bold=True, marked=True)]], ["100 %"]
    )
    assert r"  x\_1 & \textbf{5 $\pm$ 1}$^\dagger$ \\" in latex(table)
    assert "| x\\_1 | **5 ± 1**† |" in markdown(table)


def test_a_bold_number_is_bold_everywhere(tmp_path):
    for seed in range(3):
        write(tmp_path / f"s{seed}", "supervised", 0.40 + 0.01 * seed, seed=seed)
        write(tmp_path / f"c{seed}", "classmix", 0.50 + 0.01 * seed, seed=seed)
    made = report(tmp_path)
    assert "**51.0 ± 1.0**" in made.markdown()
    assert r"\textbf{51.0 $\pm$ 1.0}" in made.latex()
    assert "<b>51.0 ± 1.0</b>" in made.html()
    assert made.markdown().count("**51.0") == 1
    assert "| supervised | 3 | 41.0 ± 1.0 |" in made.markdown()


def test_the_csv_has_every_number_and_reads_as_it_was(tmp_path):
    made = report(study(tmp_path))
    rows = list(csv.DictReader(io.StringIO(made.csv())))
    assert len(rows) == 6
    for row in rows:
        summary = ssseg.Run(Path(row["folder"])).summary
        for dotted, text in row.items():
            value, found = summary, True
            for key in dotted.split("."):
                found = found and isinstance(value, dict) and key in value
                value = value[key] if found else None
            if not found:
                continue
            if isinstance(value, float | int) and not isinstance(value, bool):
                assert float(text) == value, "as exact as in the file"
            elif isinstance(value, str):
                assert text == value
            elif value is None:
                assert text == ""
            else:
                assert json.loads(text) == value
        predictor = summary["predictor"]
        assert float(row[f"last.{predictor}.iou.road"]) == summary["last"][predictor]["iou"]["road"]
    gains = {row["folder"][-10:]: row["gain"] for row in rows}
    assert float(gains["classmix-0"]) == pytest.approx(5.0)
    assert {row["images_per_second"] for row in rows} == {"64.0", "128.0"}
