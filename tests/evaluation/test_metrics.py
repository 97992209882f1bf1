import numpy as np
import pytest
import torch

from ssseg.evaluation import Confusion
from ssseg.evaluation.metrics import scores
from ssseg.types import IGNORE


def plain_counts(predictions, labels, num_classes):
    """Pixel by pixel, as one would on paper."""
    counts = np.zeros((num_classes, num_classes), np.int64)
    for prediction, label in zip(predictions, labels, strict=True):
        for y in range(label.shape[0]):
            for x in range(label.shape[1]):
                if label[y, x] != IGNORE:
                    counts[label[y, x], prediction[y, x]] += 1
    return counts


def one_hot_logits(prediction, num_classes):
    return torch.nn.functional.one_hot(prediction, num_classes).movedim(-1, 1).float()


@pytest.mark.parametrize("seed", range(5))
def test_scores_against_plain_loops(seed):
    rng = np.random.default_rng(seed)
    num_classes, absent = 6, 4
    confusion = Confusion(num_classes)
    predictions, labels = [], []
    for height, width in ((7, 5), (7, 5), (3, 11), (1, 1)):
        label = rng.integers(0, num_classes - 1, (height, width))
        label[label == absent] = 0
        prediction = np.where(rng.random((height, width)) < 0.6, label, (label + 1) % absent)
        label[rng.random((height, width)) < 0.2] = IGNORE
        predictions.append(prediction)
        labels.append(label)
        logits = one_hot_logits(torch.from_numpy(prediction)[None], num_classes)
        confusion.add(logits, torch.from_numpy(label)[None])
    counts = plain_counts(predictions, labels, num_classes)
    assert torch.equal(confusion.compute(), torch.from_numpy(counts))

    ious = {}
    for c in range(num_classes):
        hit = counts[c, c]
        union = counts[c].sum() + counts[:, c].sum() - hit
        if union:
            ious[c] = hit / union
    got = confusion.scores()
    assert got.miou == pytest.approx(np.mean(list(ious.values())))
    assert got.iou[absent] is None
    assert got.iou[5] is None
    assert [v for v in got.iou if v is not None] == pytest.approx(list(ious.values()))
    assert got.pixel_accuracy == pytest.approx(np.trace(counts) / counts.sum())


def test_it_is_one_matrix_over_the_set_and_no_mean_over_images():
    """Two images, one small object missed: the set-level number, not the image-level one."""
    first = torch.zeros(1, 100, 100, dtype=torch.long)
    first[:, :50] = 1
    second = torch.zeros(1, 100, 100, dtype=torch.long)
    second[:, 0, :10] = 1
    confusion = Confusion(2)
    confusion.add(one_hot_logits(first, 2), first)
    confusion.add(one_hot_logits(torch.zeros_like(second), 2), second)
    zero, one = 14990 / 15000, 5000 / 5010
    assert confusion.scores().miou == pytest.approx((zero + one) / 2)


def test_batches_add_up_and_counts_are_exact_integers():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(8, 3, 9, 9, generator=generator)
    label = torch.randint(0, 3, (8, 9, 9), generator=generator)
    whole, parts = Confusion(3), Confusion(3)
    whole.add(logits, label)
    for i in range(8):
        parts.add(logits[i : i + 1], label[i : i + 1])
    assert torch.equal(whole.compute(), parts.compute())
    assert whole.compute().dtype == torch.int64


def test_logits_are_resized_to_the_label_never_the_reverse():
    label = torch.zeros(1, 40, 60, dtype=torch.long)
    label[:, :, 30:] = 1
    logits = one_hot_logits(torch.tensor([[[0, 1], [0, 1]]]), 2)
    confusion = Confusion(2)
    confusion.add(logits, label)
    assert confusion.compute().sum() == 40 * 60
    assert confusion.scores().miou == 1.0


def test_nothing_counted_is_zero_and_finite():
    empty = scores(torch.zeros(3, 3, dtype=torch.int64))
    assert empty.miou == 0
    assert empty.iou == [None, None, None]
    assert empty.pixel_accuracy == 0


def test_summaries_name_the_absent_classes():
    matrix = torch.tensor([[3, 1, 0], [0, 4, 0], [0, 0, 0]])
    out = scores(matrix).as_dict(["road", "car", "train"])
    assert out["absent"] == ["train"]
    assert out["iou"] == pytest.approx({"road": 0.75, "car": 0.8})
