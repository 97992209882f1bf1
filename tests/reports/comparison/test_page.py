import json
import re

import numpy as np
import pytest

import ssseg
from tests.benchmarking.folders import study, write, write_metrics, write_tiles
from tests.reports.comparison.pages import Page, check_latex, check_page, report

NASTY = "50% of A&B_{x} #1 $2 ~^\\ <script>alert(1)</script> | `c` \"q\" 'z'"


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
