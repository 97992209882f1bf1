"""What the report writes: Markdown, LaTeX, CSV, plots and the page."""

import csv
import io
import json
import re
import subprocess
import sys
import tomllib
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

import ssseg
from ssseg.reports.comparison.plots import mean_curve, missing_plots
from ssseg.reports.comparison.table_formats import Cell, Table, latex, markdown, tex
from tests.benchmarking.folders import study, write, write_metrics, write_tiles

NASTY = "50% of A&B_{x} #1 $2 ~^\\ <script>alert(1)</script> | `c` \"q\" 'z'"


VOID = {"meta", "img", "br", "link", "input", "hr"}


class Page(HTMLParser):
    """Checks that tags are balanced, and collects what a browser would load."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.loads, self.ids, self.links, self.tags = [], [], [], [], []
        self.words = []
        self.feed(text)
        self.close()
        assert not self.open, self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag not in VOID:
            self.open.append(tag)
        for name, value in attrs:
            if name in ("src", "data", "poster", "srcset", "action"):
                self.loads.append(value)
            if name in ("href", "xlink:href"):
                self.links.append(value)
            if name == "id":
                self.ids.append(value)
            assert not name.startswith("on"), "no script in attributes"

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("style", "script"):
            self.words.append(data)


def check_page(text):
    page = Page(text)
    assert "script" not in page.tags
    assert all(load.startswith("data:image/") for load in page.loads)
    assert all(link.startswith("#") for link in page.links)
    assert {link[1:] for link in page.links} <= set(page.ids)
    assert len(page.ids) == len(set(page.ids)), "ids of several plots do not clash"
    outside = re.sub(r'xmlns="http://www\.w3\.org/2000/svg"', "", text)
    assert not re.search(r"https?://|@import|url\((?!#)", outside)
    used = re.findall(r"url\(#([^)]+)\)", text)
    assert set(used) <= set(page.ids)
    return page


def report(place, **options):
    return ssseg.report(place, **options)


def test_the_page_needs_nothing_else(tmp_path):
    for folder in study(tmp_path).iterdir():
        write_tiles(folder, ["student", "teacher"])
    page = check_page(report(tmp_path).html())
    assert page.tags.count("svg") == 2
    assert page.tags.count("img") == 4 * 4  # input, truth, two methods
    words = " ".join(page.words)
    for said in ("no result", "not corrected", "ttest_rel", "--seed_everything 2", "abc123"):
        assert said in words


@pytest.mark.parametrize("rows", [["supervised"], ["classmix"]])
def test_a_page_of_one_run(tmp_path, rows):
    write(tmp_path / "a", rows[0], 0.5, None if rows == ["supervised"] else 0.6)
    made = report(tmp_path / "a")
    page = check_page(made.html())
    assert "1 run, 1 seed, 1 table" in page.words
    assert len(list(made.figures)) == 2
    assert report(ssseg.Run(tmp_path / "a")).html() == made.html()


def test_a_page_of_one_method_with_seeds(tmp_path):
    for seed in range(3):
        write(tmp_path / str(seed), "classmix", 0.5 + 0.01 * seed, 0.5, seed=seed)
    words = " ".join(check_page(report(tmp_path).html()).words)
    assert "there is no supervised run here" in words


def test_a_page_of_many(tmp_path):
    """8 methods, 5 seeds, 21 classes."""
    classes = [{"name": f"class {i}", "color": [i, 2 * i, 3 * i]} for i in range(21)]
    for m in range(8):
        for seed in range(5):
            run = write(
                tmp_path / f"{m}-{seed}",
                f"method{m}" if m else "supervised",
                0.4 + 0.02 * m + 0.001 * seed * (m + 1),
                seed=seed,
                data__classes=classes,
            )
            summary = run.summary
            iou = {c["name"]: 0.3 + 0.01 * m + 0.001 * seed for c in classes}
            summary["last"]["student"]["iou"] = iou
            (run.folder / "summary.json").write_text(json.dumps(summary))
            write_metrics(run.folder, train__trusted=list(np.linspace(0, 1, 80)))
            write_tiles(run.folder)
    made = report(tmp_path)
    text = made.html()
    page = check_page(text)
    assert page.tags.count("svg") == 3
    assert page.tags.count("tr") > 21 + 8 + 8
    assert len(text) < 3_000_000
    assert all(f"class {i}" in page.words for i in range(21))


def test_names_may_be_any_text(tmp_path):
    write(tmp_path / "a", NASTY, 0.5, data__classes=[{"name": NASTY, "color": [1, 2, 3]}])
    summary = json.loads((tmp_path / "a" / "summary.json").read_text())
    summary["last"]["student"]["iou"] = {NASTY: 0.5}
    (tmp_path / "a" / "summary.json").write_text(json.dumps(summary))
    write(tmp_path / "b", "_hidden", 0.5)
    write_metrics(tmp_path / "a", train__trusted=[0.1, 0.2])
    write_tiles(tmp_path / "a")
    made = report(tmp_path)
    page = check_page(made.html())
    assert NASTY in page.words
    check_latex(made.latex())
    head, *lines = [line for line in made.markdown().splitlines() if line.startswith("|")][:3]
    assert len({re.sub(r"\\.", "", line).count("|") for line in (head, *lines)}) == 1
    made.save(tmp_path / "out")
    assert "_hidden" in (tmp_path / "out" / "scores.svg").read_text()


def check_latex(text):
    """Braces and environments are balanced, rows are as long as their head, nothing is raw."""
    bare = re.sub(r"(?m)(?<!\\)%.*$", "", text)
    depth = 0
    for sign in re.findall(r"\\.|[{}]", bare):
        depth += {"{": 1, "}": -1}.get(sign, 0)
        assert depth >= 0
    assert depth == 0
    names = re.findall(r"\\(begin|end)\{(\w+\*?)\}", bare)
    stack = []
    for kind, name in names:
        if kind == "begin":
            stack.append(name)
        else:
            assert stack.pop() == name
    assert not stack
    assert not re.search(r"(?<!\\)[#_]", bare)
    assert len(re.findall(r"(?<!\\)\$", bare)) % 2 == 0
    for block in re.findall(r"\\toprule(.*?)\\bottomrule", bare, re.DOTALL):
        rows = [row for row in block.replace(r"\midrule", "").split(r" \\") if row.strip()]
        assert len({len(re.findall(r"(?<!\\)&", row)) for row in rows}) == 1
    assert bare.isascii()


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


def test_curves_that_are_not_there_are_left_out_and_it_is_said(tmp_path):
    study(tmp_path)
    write_metrics(tmp_path / "classmix-0", train__trusted=[0.2, 0.4])
    made = report(tmp_path)
    assert list(made.figures) == ["scores", "curves", "trusted"]
    assert "No trusted share recorded for: supervised." in made.plots[1]["trusted"].caption
    assert missing_plots(made.tables[0]) == ["accuracy of pseudo-labels"]
    assert "Not recorded by any of these runs: accuracy of pseudo-labels." in made.html()


def test_the_mean_curve_is_over_the_steps_that_all_seeds_have():
    curves = [[(100, 10.0), (200, 20.0), (300, 30.0)], [(100, 20.0), (300, 50.0)]]
    assert mean_curve(curves) == [(100, 15.0), (300, 40.0)]
    assert mean_curve([]) == []


def test_labels_against_miou_is_the_one_plot_over_tables(tmp_path):
    for labels, base in ((8, 0.3), (16, 0.4), (32, 0.45)):
        split = {"data__labeled": labels, "data__split_hash": str(labels)}
        for seed in range(2):
            where = tmp_path / f"{labels}-{seed}"
            write(where / "s", "supervised", base + 0.01 * seed, seed=seed, **split)
            write(where / "c", "classmix", base + 0.1, base + 0.1, seed=seed, **split)
    write(tmp_path / "short", "supervised", 0.2, steps=10, data__labeled=64)
    made = report(tmp_path)
    assert len(made.tables) == 4
    assert list(made.plots[0]) == ["labels"]
    (axes,) = made.figures["labels"].axes
    series = [container.lines[0].get_xydata().tolist() for container in axes.containers]
    assert series[0] == [
        [8, pytest.approx(30.5)],
        [16, pytest.approx(40.5)],
        [32, pytest.approx(45.5)],
    ]
    assert series[1] == [[8, pytest.approx(40)], [16, pytest.approx(50)], [32, pytest.approx(55)]]
    assert len(series) == 2, "the run of other steps is in no curve"
    assert len(report(tmp_path, mix=True).figures["labels"].axes[0].containers) == 2
    assert "labels" in check_page(made.html()).ids[0] or "Over the number of labels" in made.html()


def test_pictures_of_other_images_are_not_shown_as_the_same(tmp_path):
    for place, method in enumerate(("supervised", "classmix", "cutmix")):
        write(tmp_path / method, method, 0.5)
        write_tiles(tmp_path / method, shade=100 * (place == 2))
    write(tmp_path / "mixup", "mixup", 0.5)
    text = report(tmp_path).html()
    assert check_page(text).tags.count("img") == 4 * 4
    assert "No pictures of the same images: cutmix, mixup." in text


def test_large_pictures_are_made_small(tmp_path):
    write(tmp_path / "a")
    write_tiles(tmp_path / "a", size=900)
    text = report(tmp_path).html()
    assert 'width="256" height="256"' in text
    assert len(text) < 200_000


def test_a_notebook_shows_the_page_in_a_frame_of_its_own(tmp_path):
    write(tmp_path / "a")
    made = report(tmp_path)
    shown = made._repr_html_()
    assert shown.startswith('<iframe srcdoc="')
    assert Page(shown).tags == ["iframe"]


def test_a_report_is_made_without_torch(tmp_path):
    write(tmp_path / "a")
    code = (
        "import sys, ssseg; ssseg.report(sys.argv[1]).save(sys.argv[2]);"
        "assert not {'torch', 'pytorch_lightning'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, tmp_path, tmp_path / "out"], check=True)


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
