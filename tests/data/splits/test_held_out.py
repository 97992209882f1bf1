"""Held-out images: the right number, every class on both sides, and the same ones tomorrow."""

import numpy as np
import pytest

from ssseg.data.splits.held_out import held_out_count, hold_out, uncertainty
from ssseg.errors import UserError

RARE = np.array([0.9, 0.5, 0.3, 0.1, 0.05])


def drawn(seed, images=40):
    """Which of five classes is in which image, and a name for the content of each."""
    rng = np.random.default_rng(seed)
    presence = rng.random((images, len(RARE))) < RARE
    return presence, [f"{seed}-{number}" for number in range(images)]


@pytest.mark.parametrize("seed", range(20))
def test_numbers_and_classes(seed):
    presence, digests = drawn(seed)
    held = hold_out(presence, digests, 8, seed)
    rest = np.setdiff1d(np.arange(40), held)
    assert len(held) == 8
    total = presence.sum(0)
    # every class that can be is on both sides; one that a single image shows is learned
    assert presence[rest][:, total > 0].any(0).all()
    assert presence[held][:, total > 1].any(0).all()
    # the share of each class, as far as images are not shared
    assert (abs(presence[held].sum(0) - total * 0.2) <= 3).all()


def test_the_order_of_images_does_not_matter():
    presence, digests = drawn(0)
    held = {digests[i] for i in hold_out(presence, digests, 8, 0)}
    order = np.random.default_rng(1).permutation(40)
    moved = [digests[i] for i in order]
    assert {moved[i] for i in hold_out(presence[order], moved, 8, 0)} == held


def test_another_seed_is_another_choice():
    presence, digests = drawn(0)
    assert hold_out(presence, digests, 8, 0) != hold_out(presence, digests, 8, 1)


def test_one_image_more_changes_little():
    changed, drawn_anew = [], []
    for seed in range(40):
        presence, digests = drawn(seed, 41)
        before = {digests[i] for i in hold_out(presence[:40], digests[:40], 8, 0)}
        after = {digests[i] for i in hold_out(presence, digests, 8, 0)}
        other = {digests[i] for i in hold_out(presence, digests, 8, 1)}
        changed.append(len(before - after))
        drawn_anew.append(len(before - other))
    assert np.mean(changed) < 1
    assert np.mean(drawn_anew) > 4


def test_a_class_is_never_lost():
    alone = np.eye(4, dtype=bool)
    assert hold_out(alone, list("abcd"), 2, 0) == []
    assert hold_out(np.ones((4, 1), bool), list("abcd"), 3, 0) != []


def test_equal_contents_stay_together():
    presence = np.ones((6, 2), bool)
    for seed in range(10):
        held = hold_out(presence, ["same", "same", "same", "b", "c", "d"], 3, seed)
        assert len({0, 1, 2} & set(held)) in (0, 3)


@pytest.mark.parametrize(
    ("wanted", "total", "count"),
    [
        *(("0.2", 30, 6), ("1/5", 30, 6), ("0.2", 3, 1), ("0.2", 1, 0), ("0.9", 2, 1)),
        *(("6", 30, 6), ("0", 30, 0), ("0.0", 30, 0), ("0.25", 10, 3), ("0.29", 100, 29)),
    ],
)
def test_counts(wanted, total, count):
    assert held_out_count(wanted, total, "data.val") == count


@pytest.mark.parametrize("wanted", ["30", "-1", "some", "1.5", "-0.1"])
def test_numbers_that_are_none(wanted):
    with pytest.raises(UserError, match=f"option data.val is {wanted}"):
        held_out_count(wanted, 30, "data.val")


def test_the_doubt_shrinks_with_images():
    assert "about 16 points" in uncertainty(6)
    assert "about 39 points" in uncertainty(1)
    assert uncertainty(30) == ""
