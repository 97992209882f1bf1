import numpy as np
import pytest
import torch
from scipy.stats import norm, t

from ssseg.evaluation import bootstrap
from ssseg.evaluation.bootstrap import paired_bootstrap
from ssseg.evaluation.metrics import SegmentationScores, image_counts, scores
from ssseg.types import IGNORE

CLASSES = 4


def made(images, wrong, seed=0, classes=CLASSES):
    """Truth, and what a network that errs in a share of the pixels predicts."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, classes, (images, 6, 6))
    noise = np.random.default_rng(seed + 1).integers(0, classes, truth.shape)
    # errors differ from image to image, as in photographs
    share = np.linspace(0, 2 * wrong, images)[:, None, None]
    errs = np.random.default_rng(seed + 2).random(truth.shape) < share
    truth[rng.random(truth.shape) < 0.1] = IGNORE
    predicted = np.where(errs, noise, np.where(truth == IGNORE, 0, truth))
    return torch.from_numpy(predicted), torch.from_numpy(truth)


def matrix_of(predicted, label):
    metric = SegmentationScores(CLASSES)
    metric.update(predicted, label)
    return metric.compute()


def oracle(ours, theirs, truth, missing, samples):
    """Images drawn one by one, confusion matrices added one by one."""
    images = len(truth)
    mine = [matrix_of(ours[i : i + 1], truth[i : i + 1]) for i in range(images)]
    others = [matrix_of(theirs[i : i + 1], truth[i : i + 1]) for i in range(images)]
    rng = np.random.default_rng(7)
    own, differences = [], []
    for _ in range(samples):
        drawn = rng.integers(0, images, images)
        first, second = (
            scores(sum(parts[i] for i in drawn), missing).miou for parts in (mine, others)
        )
        own.append(first)
        differences.append(first - second)
    tail = norm.cdf(t.ppf(0.025, images - 1) * (images / (images - 1)) ** 0.5)
    return [np.quantile(values, [tail, 1 - tail]) for values in (differences, own)]


@pytest.mark.parametrize("missing", ["skip", "zero"])
def test_the_intervals_are_those_of_a_plain_loop(missing):
    ours, truth = made(12, 0.3)
    theirs, _ = made(12, 0.4)
    theirs[truth == IGNORE] = 1
    found = paired_bootstrap(
        image_counts(ours, truth, CLASSES), image_counts(theirs, truth, CLASSES), missing
    )
    assert found.ours == pytest.approx(scores(matrix_of(ours, truth), missing).miou)
    assert found.theirs == pytest.approx(scores(matrix_of(theirs, truth), missing).miou)
    difference, own = oracle(ours, theirs, truth, missing, 4000)
    width = difference[1] - difference[0]
    assert found.difference == pytest.approx(difference, abs=0.12 * width)
    assert found.score == pytest.approx(own, abs=0.12 * (own[1] - own[0]))
    # paired: what both have in common cancels
    assert width < own[1] - own[0]


def test_a_class_that_is_missing_in_a_draw_counts_as_it_does_in_the_metric():
    truth = torch.zeros(2, 2, 2, dtype=torch.int64)
    truth[1] = 1
    right = image_counts(truth, truth, 3)
    wrong = image_counts(torch.zeros_like(truth), truth, 3)
    found = paired_bootstrap(right, wrong)
    assert (found.ours, found.theirs) == (1.0, 0.25)
    # of two images, both draws of one image are among the extremes
    assert found.difference == (0.0, 1.0)
    assert paired_bootstrap(right, wrong, "zero").ours == pytest.approx(2 / 3)


def test_equal_networks_differ_by_nothing_and_one_image_has_no_spread():
    predicted, truth = made(5, 0.3)
    counts = image_counts(predicted, truth, CLASSES)
    assert paired_bootstrap(counts, counts).difference == (0.0, 0.0)
    alone = paired_bootstrap(counts[-1:], counts[-1:])
    assert alone.score == (alone.ours, alone.ours)


def test_the_interval_is_the_same_every_time_and_narrows_with_more_images():
    ours, truth = made(10, 0.4)
    theirs, _ = made(10, 0.5)
    a, b = (image_counts(p, truth, CLASSES) for p in (ours, theirs))
    first = paired_bootstrap(a, b)
    assert first == paired_bootstrap(a, b)
    more = paired_bootstrap(a.repeat(4, 1, 1), b.repeat(4, 1, 1))
    ratio = (more.score[1] - more.score[0]) / (first.score[1] - first.score[0])
    assert 0.3 < ratio < 0.55  # a half, and less for the wider quantiles of few images


def test_it_holds_the_true_difference_as_often_as_it_says(monkeypatch):
    """Ten images of a large set, again and again."""
    monkeypatch.setattr(bootstrap, "SAMPLES", 2000)
    rng = np.random.default_rng(0)
    size, images, trials, pixels = 3000, 10, 300, 1000
    truth = np.full(size, pixels)
    ours, theirs = (
        torch.from_numpy(np.stack([np.int64(hit * pixels), truth, truth], 1)[:, :, None])
        for hit in rng.beta(2, 2, (2, size))
    )
    whole = paired_bootstrap(ours, theirs)
    held = 0
    for _ in range(trials):
        drawn = torch.from_numpy(rng.integers(0, size, images))
        low, high = paired_bootstrap(ours[drawn], theirs[drawn]).difference
        held += low <= whole.ours - whole.theirs <= high
    assert 0.92 < held / trials < 0.98  # percentiles of 2.5 % would hold it in 90 %


def test_counts_of_other_images_are_refused():
    predicted, truth = made(4, 0.2)
    _, other = made(4, 0.2, seed=5)
    with pytest.raises(ValueError, match="not scored on the same images"):
        paired_bootstrap(image_counts(predicted, truth, 4), image_counts(predicted, other, 4))


def test_counts_of_single_images_add_up_to_the_confusion_matrix():
    predicted, truth = made(5, 0.4)
    hit, true, guess = image_counts(predicted, truth, CLASSES).sum(0)
    matrix = matrix_of(predicted, truth)
    assert torch.equal(hit, matrix.diag())
    assert torch.equal(true, matrix.sum(1))
    assert torch.equal(guess, matrix.sum(0))
