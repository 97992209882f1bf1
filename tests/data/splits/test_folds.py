"""Folds: every image is held out once, and each fold is like the whole."""

import numpy as np
import pytest

from ssseg.data.splits.folds import check_folds, fold_numbers
from ssseg.errors import UserError
from tests.data.splits.test_held_out import drawn


def members(presence, digests, folds, seed=0):
    numbers = np.array(fold_numbers(presence, digests, folds, seed))
    return [np.flatnonzero(numbers == fold) for fold in range(1, folds + 1)]


@pytest.mark.parametrize("folds", [2, 3, 5, 7, 40])
@pytest.mark.parametrize("seed", range(4))
def test_each_image_is_in_one_fold_and_each_class_in_its_share(folds, seed):
    presence, digests = drawn(seed)
    several = members(presence, digests, folds, seed)
    assert sorted(np.concatenate(several)) == list(range(40))
    sizes = [len(fold) for fold in several]
    assert max(sizes) - min(sizes) <= 1
    shares = np.stack([presence[fold].sum(0) for fold in several])
    assert (abs(shares - presence.sum(0) / folds) < 2).all()


def test_rare_classes_are_spread_better_than_by_chance():
    apart, by_chance = [], []
    for seed in range(20):
        presence, digests = drawn(seed)
        order = np.random.default_rng(seed).permutation(40)
        for found, folds in (
            (apart, members(presence, digests, 5)),
            (by_chance, np.split(order, 5)),
        ):
            found.append(np.std([presence[fold].sum(0) for fold in folds], 0).mean())
    assert np.mean(apart) < 0.6 * np.mean(by_chance)


def test_the_order_of_images_does_not_matter_and_the_seed_does():
    presence, digests = drawn(0)
    first = fold_numbers(presence, digests, 5, 0)
    order = np.random.default_rng(1).permutation(40)
    moved = fold_numbers(presence[order], [digests[i] for i in order], 5, 0)
    assert moved == [first[i] for i in order]
    assert fold_numbers(presence, digests, 5, 1) != first


def test_equal_contents_stay_together_and_no_fold_is_empty():
    presence = np.ones((9, 2), bool)
    presence[8] = False  # no class at all
    for seed in range(10):
        digests = ["same", "same", "same", "same", *"bcdef"]
        numbers = fold_numbers(presence, digests, 4, seed)
        assert len(set(numbers[:4])) == 1
        assert set(numbers) == {1, 2, 3, 4}
        assert set(fold_numbers(presence, digests, 6, seed)) == {1, 2, 3, 4, 5, 6}
        with pytest.raises(UserError, match="only 6 labeled images can be held out"):
            fold_numbers(presence, digests, 7, seed)


@pytest.mark.parametrize(
    ("numbers", "said"),
    [
        ((1, 1, None), "option data.folds is 1; expected at least 2"),
        ((0, None, None), "option data.folds is 0; expected at least 2"),
        ((5, None, None), "a single run needs the number of its fold; give data.fold, from 1 to 5"),
        ((5, 0, None), "option data.fold is 0; expected the number of a fold, from 1 to 5"),
        ((5, 6, None), "option data.fold is 6;"),
        ((None, 1, None), "option data.fold is 1, but not of how many"),
        ((5, 1, "6"), "option data.val is 6 beside data.folds"),
    ],
)
def test_numbers_that_no_cross_validation_has(numbers, said):
    with pytest.raises(UserError, match=said):
        check_folds(*numbers)
    check_folds(None, None, "6")
    check_folds(5, 5, None)
