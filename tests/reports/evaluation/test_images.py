import math
from pathlib import Path

import numpy as np
import pytest
import torch

from ssseg.data.module import SegmentationData
from ssseg.reports.evaluation.callback import EvaluationPage
from ssseg.reports.evaluation.images import Shown, image_scores, worst_and_best
from tests.conftest import make_module, make_trainer
from tests.reports.evaluation.documents import TwoSizes, document_of, page, plain_iou, predictions


def test_worst_and_best_images_are_those_of_a_plain_recomputation(run, checkpoint):
    found = predictions(checkpoint, "teacher")
    mious = {key: np.nanmean(plain_iou(*pair, 8)) for key, pair in found.items()}
    order = sorted(mious, key=mious.get)
    doc = document_of(run / "test-test-whole")
    assert [entry["id"] for entry in doc["worst"]] == order[:6]
    assert [entry["id"] for entry in doc["best"]] == order[::-1][:6]
    for entry in [*doc["worst"], *doc["best"]]:
        truth, guess = found[entry["id"]]
        assert entry["miou"] == pytest.approx(mious[entry["id"]], rel=1e-5)
        assert entry["pixel_accuracy"] == pytest.approx((truth == guess).mean(), rel=1e-5)
    html = page(run / "test-test-whole")
    places = [html.index(f"<figcaption>{e['id']} ") for e in [*doc["worst"], *doc["best"]]]
    assert places == sorted(places)


def test_image_scores_are_plain_ones_and_need_no_values_on_the_host():
    generator = torch.Generator().manual_seed(0)
    label = torch.randint(0, 5, (4, 9, 7), generator=generator)
    predicted = torch.randint(0, 6, (4, 9, 7), generator=generator)
    label[torch.rand((4, 9, 7), generator=generator) < 0.3] = 255
    label[2] = 255
    found = image_scores(predicted, label, 6)
    for row, truth, guess in zip(found.tolist(), label.numpy(), predicted.numpy(), strict=True):
        if (truth == 255).all():
            assert all(math.isnan(value) for value in row)
            continue
        right = (truth == guess)[truth != 255].mean()
        assert row == pytest.approx([np.nanmean(plain_iou(truth, guess, 6)), right], rel=1e-5)
    # tensors without values: whatever looked at one would fail
    nothing = image_scores(predicted.to("meta"), label.to("meta"), 6)
    assert nothing.shape == (4, 2)


def test_no_image_is_both_among_the_worst_and_the_best():
    found = [Shown(i, value, 0.0) for i, value in enumerate([0.5, float("nan"), 0.1, 0.9, 0.2])]
    worst, best = worst_and_best(found, 6)
    assert [one.place for one in worst] == [2, 4]
    assert [one.place for one in best] == [3, 0]
    worst, best = worst_and_best(found[:1], 6)
    assert (len(worst), len(best)) == (1, 0)
    assert worst_and_best([], 6) == ([], [])


class First(torch.nn.Module):
    """Predicts the first class everywhere: the more of it, the better."""

    training = False
    num_classes, in_channels = 8, 3

    def forward(self, image):
        scores = torch.zeros((len(image), 8, *image.shape[-2:]))
        scores[:, 0] = 1
        return scores


@pytest.mark.parametrize("part", [1.0, 2])
def test_images_of_several_sizes_are_told_apart(tmp_path, part):
    """A trainer of one's own, and a source that knows no sizes: batches hold several."""
    data = SegmentationData(TwoSizes(), labeled=4, batch_size=2, val_batch_size=4)
    module = make_module("supervised")
    module.method._modules["student"] = First()
    about = {"step": 0, "method": "none", "training": None, "command": "none"}
    callback = EvaluationPage(str(tmp_path / "page"), Path("x.ckpt"), about)
    trainer = make_trainer(1, tmp_path, callbacks=[callback], limit_test_batches=part)
    trainer.test(module, data, verbose=False)
    doc = document_of(tmp_path / "page")
    shown = [entry["id"] for entry in [*doc["worst"], *doc["best"][::-1]]]
    source = data.source
    share = {r.id: (source.read_mask(r) == 0).mean() for r in source.records("test")}
    assert shown == sorted(share, key=share.get)
    for entry in doc["worst"]:
        assert entry["pixel_accuracy"] == pytest.approx(share[entry["id"]])
