"""The page of an evaluation against the same numbers recomputed plainly."""

import json
import re

import numpy as np
import pytest
import torch

from ssseg.data.module import SegmentationData
from ssseg.evaluation.metrics import scores
from ssseg.reports.evaluation.images import Tiles
from ssseg.reports.evaluation.page import evaluation_page
from ssseg.reports.evaluation.results import EvaluationResults, protocol
from tests.conftest import make_module
from tests.reports.evaluation.documents import TwoSizes, Walk, document_of, page, predictions


def test_every_row_of_the_confusion_matrix_sums_to_100_percent(run, checkpoint):
    table = page(run / "test-test-whole").partition('class="matrix"')[2].partition("</table>")[0]
    rows = [
        re.findall(r"<td[^>]*>([^<]*)</td>", row) for row in re.findall(r"<tr>(.*?)</tr>", table)
    ]
    rows = [row for row in rows if row]
    found = predictions(checkpoint, "teacher")
    truth, guess = (np.stack([pair[i] for pair in found.values()]) for i in (0, 1))
    assert len(rows) == 8
    for c, row in enumerate(rows):
        if not (truth == c).any():
            assert row == ["-"] * 8
            continue
        assert sum(float(cell or 0) for cell in row) == pytest.approx(100, abs=0.05 * 8)
        shares = [100 * (guess[truth == c] == k).mean() for k in range(8)]
        assert [float(cell or 0) for cell in row] == pytest.approx(shares, abs=0.0501)


def test_the_page_is_whole_and_loads_nothing(run):
    folder = run / "test-test-whole"
    html = page(folder)
    assert html.startswith("<!doctype html>")
    assert not re.search(r"https?://|@import|url\(", html)
    walk = Walk(html)
    assert len(walk.loaded) == 12 * 4
    assert all(uri.startswith("data:image/") for uri in walk.loaded)
    assert sorted(walk.links) == sorted(f.name for f in folder.iterdir() if f.suffix != ".html")


def test_names_are_escaped(run):
    name = '<b>&"x"'
    doc = document_of(run / "test-test-whole")
    old = doc["data"]["classes"][1]["name"]
    doc = json.loads(json.dumps(doc).replace(json.dumps(old), json.dumps(name)))
    doc["worst"][0]["id"] = name
    counts = np.arange(64).reshape(8, 8).tolist()
    tiles = [Tiles(*[np.zeros((4, 6, 3), np.uint8)] * 4)] * 6
    html = evaluation_page(doc, counts, tiles, tiles)
    assert "<b>" not in html
    assert html.count("&lt;b&gt;&amp;&quot;x&quot;") > 10
    assert "".join(Walk(html).text).count(name) >= 4  # bars, matrix twice, legend, caption


def test_what_is_absent_is_named():
    data = SegmentationData(TwoSizes(), labeled=4, batch_size=2)
    module = make_module("mean_teacher")
    counts = {"student": torch.zeros(8, 8), "teacher": torch.zeros(8, 8)}
    for matrix_of in counts.values():
        matrix_of[:6, :6] = 1
    found = EvaluationResults("test", 7, 7, {n: scores(m) for n, m in counts.items()}, {})
    said = " ".join(protocol(module, data, found))
    assert "neither in the truth nor in any prediction is not in the mean: g, h." in said
    counts["teacher"][0, 6] = 1
    module.missing_classes = "zero"
    found = found._replace(scores={n: scores(m) for n, m in counts.items()}, images=5)
    said = " ".join(protocol(module, data, found))
    assert "prediction of the student counts as 0 in the mean, as in older protocols: g, h." in said
    assert "prediction of the teacher counts as 0 in the mean, as in older protocols: h." in said
    assert "5 of the test split of two sizes, a part of 7." in said
    data.eval_masks, data.eval_crop = "resized", (20, 24)
    said = " ".join(protocol(module, data, found))
    assert "the masks are resized too" in said
    assert "Only the centre of 20 x 24 pixels" in said
