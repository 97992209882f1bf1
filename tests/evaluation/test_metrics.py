import numpy as np
import pytest
import torch

from ssseg.evaluation import BoundaryIoU, SegmentationScores
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
    confusion = SegmentationScores(num_classes)
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
    confusion = SegmentationScores(2)
    confusion.add(one_hot_logits(first, 2), first)
    confusion.add(one_hot_logits(torch.zeros_like(second), 2), second)
    zero, one = 14990 / 15000, 5000 / 5010
    assert confusion.scores().miou == pytest.approx((zero + one) / 2)


def test_batches_add_up_and_counts_are_exact_integers():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(8, 3, 9, 9, generator=generator)
    label = torch.randint(0, 3, (8, 9, 9), generator=generator)
    whole, parts = SegmentationScores(3), SegmentationScores(3)
    whole.add(logits, label)
    for i in range(8):
        parts.add(logits[i : i + 1], label[i : i + 1])
    assert torch.equal(whole.compute(), parts.compute())
    assert whole.compute().dtype == torch.int64


def test_logits_are_resized_to_the_label_never_the_reverse():
    label = torch.zeros(1, 40, 60, dtype=torch.long)
    label[:, :, 30:] = 1
    logits = one_hot_logits(torch.tensor([[[0, 1], [0, 1]]]), 2)
    confusion = SegmentationScores(2)
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
    assert out["missing_classes"] == ["train"]
    assert out["iou"] == pytest.approx({"road": 0.75, "car": 0.8})


def plain_boundary(label, num_classes, distance):
    """Pixels of each class within a square distance of another value, or of the image's border."""
    height, width = label.shape
    near = np.zeros((num_classes, height, width), bool)
    for y in range(height):
        for x in range(width):
            c = label[y, x]
            if c == IGNORE:
                continue
            for dy in range(-distance, distance + 1):
                for dx in range(-distance, distance + 1):
                    v, u = y + dy, x + dx
                    outside = not (0 <= v < height and 0 <= u < width)
                    if outside or label[v, u] != c:
                        near[c, y, x] = True
    return near


@pytest.mark.parametrize("seed", range(4))
def test_boundary_iou_against_plain_loops(seed):
    rng = np.random.default_rng(seed)
    num_classes = 4
    boundary = BoundaryIoU(num_classes, width=0.1)
    hit, union = np.zeros(num_classes), np.zeros(num_classes)
    for size in ((20, 26), (31, 17)):
        blocks = rng.integers(0, 3, (size[0] // 6 + 1, size[1] // 6 + 1))
        label = blocks.repeat(6, 0).repeat(6, 1)[: size[0], : size[1]]
        prediction = np.roll(label, 2, 1)
        label[:5, :7] = IGNORE
        distance = round(0.1 * np.hypot(*size))
        seen = np.where(label == IGNORE, IGNORE, prediction)
        for c, (a, b) in enumerate(
            zip(
                plain_boundary(label, num_classes, distance),
                plain_boundary(seen, num_classes, distance),
                strict=True,
            )
        ):
            hit[c] += (a & b).sum()
            union[c] += (a | b).sum()
        boundary.update(torch.from_numpy(prediction)[None], torch.from_numpy(label)[None])
    expected = [h / u if u else None for h, u in zip(hit, union, strict=True)]
    assert boundary.per_class() == [e if e is None else pytest.approx(e) for e in expected]
    assert boundary.per_class()[3] is None


def test_boundaries_are_harder_than_areas():
    """A large square, one pixel off: its area hardly notices, its boundary does."""
    label = torch.zeros(1, 100, 100, dtype=torch.long)
    label[:, 20:80, 20:80] = 1
    moved = label.roll(2, -1)
    confusion, boundary = SegmentationScores(2), BoundaryIoU(2)
    confusion.add(one_hot_logits(moved, 2), label)
    boundary.update(moved, label)
    assert confusion.scores().iou[1] > 0.93
    assert boundary.per_class()[1] < 0.75
    boundary.reset()
    boundary.update(label, label)
    assert boundary.per_class() == [1, 1]


def test_weighted_iou_and_absent_classes_as_zero():
    label = torch.tensor([[[0, 0, 0, 1]]])
    prediction = torch.tensor([[[0, 0, 1, 1]]])
    skip, zero = SegmentationScores(3), SegmentationScores(3, missing_classes="zero")
    for confusion in (skip, zero):
        confusion.add(one_hot_logits(prediction, 3), label)
    assert skip.scores().weighted_iou == pytest.approx(0.75 * 2 / 3 + 0.25 / 2)
    assert skip.scores().miou == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert zero.scores().miou == pytest.approx((2 / 3 + 1 / 2) / 3)
    assert zero.scores().as_dict(["a", "b", "c"])["missing_classes"] == ["c"]
