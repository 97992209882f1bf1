import csv
import io

import numpy as np
import pytest

import ssseg
from ssseg.data.datasets import Street
from ssseg.runs.checkpoint import read_checkpoint
from tests.reports.evaluation.documents import document_of, page, plain_iou, predictions


@pytest.mark.parametrize("network", ["student", "teacher"])
def test_the_numbers_are_those_of_a_plain_recomputation(run, checkpoint, network):
    found = predictions(checkpoint, network)
    truth, guess = (np.stack([pair[i] for pair in found.values()]) for i in (0, 1))
    names = [c.name for c in Street().classes]
    iou = dict(zip(names, plain_iou(truth, guess, len(names)), strict=True))
    known = {name: value for name, value in iou.items() if value == value}
    got = document_of(run / "test-test-whole")["networks"][network]
    assert got["iou"] == pytest.approx(known)
    assert got["miou"] == pytest.approx(np.mean(list(known.values())))
    assert got["pixel_accuracy"] == pytest.approx((truth == guess).mean())
    assert got["missing_classes"] == [name for name in names if name not in known]
    assert 0 < got["boundary_miou"] < 1
    html = page(run / "test-test-whole")
    card = html.partition(f"</i>{network}<small>")[2].partition("</section>")[0]
    for key in ("miou", "boundary_miou", "pixel_accuracy", "mean_accuracy", "weighted_iou"):
        assert f">{100 * got[key]:.2f}" in card
    rows = csv.DictReader(io.StringIO((run / "test-test-whole" / "scores.csv").read_text()))
    rows = {row["class"]: row for row in rows if row["network"] == network}
    assert list(rows) == names
    for c, name in enumerate(names):
        row = rows[name]
        assert row["iou"] == (str(got["iou"][name]) if name in known else "")
        assert int(row["true_pixels"]) == (truth == c).sum()
        if row["recall"]:
            assert float(row["recall"]) == pytest.approx((guess[truth == c] == c).mean())
        if row["precision"]:
            assert float(row["precision"]) == pytest.approx((truth[guess == c] == c).mean())


def test_the_json_says_where_the_numbers_come_from(run, checkpoint):
    doc = document_of(run / "test-test-whole")
    assert set(doc) == {
        *("data", "checkpoint", "step", "method", "training", "command", "predictor", "networks"),
        *("evaluation", "worst", "best", "device", "versions", "commit"),
    }
    assert set(doc["networks"]) == {"student", "teacher"}
    assert doc["data"]["split"] == "test"
    assert doc["data"]["images"] == 13
    assert doc["step"] == 3
    assert doc["predictor"] == "teacher"
    assert (run / "test-test-whole" / doc["checkpoint"]).resolve() == checkpoint.resolve()
    summary = ssseg.Run(run).summary
    assert doc["training"]["split_hash"] == summary["data"]["split_hash"]
    assert doc["training"] == {
        **{key: read_checkpoint(checkpoint)["ssseg"]["data"][key] for key in ("name", "split")},
        "split_hash": summary["data"]["split_hash"],
    }
    assert doc["command"].startswith("ssseg test --ckpt_path")
    assert doc["evaluation"]["protocol"] == "whole"
    assert summary["evaluation"].items() <= doc["evaluation"].items()
    said = page(run / "test-test-whole")
    for text in (doc["training"]["split_hash"], *doc["evaluation"]["words"], "step 3"):
        assert text.replace("'", "&#x27;") in said
