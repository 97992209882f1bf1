"""PrevMatch: when snapshots are taken, how they label, and what they add to UniMatch."""

from dataclasses import replace
from random import Random

import pytest
import torch

from ssseg.errors import UserError
from ssseg.methods.prevmatch import PrevMatch, draw_weights, snapshot_steps
from ssseg.methods.unimatch import UniMatch
from ssseg.testing import CONTRACT, losses, make_method, step, tiny_batch

PREVIOUS = {"prev_strong_1", "prev_strong_2", "prev_feature"}


def made(taken=2, **hparams):
    """With snapshots, one of them of another network."""
    method = make_method(PrevMatch, {"snapshots": 2, "prev_threshold": 0.0, **hparams})
    for number in range(taken):
        method.earlier.take(method.student)
        with torch.no_grad():
            for p in method.earlier.copies[number].parameters():
                p.mul_(1 + 0.2 * number)
    return method


@pytest.mark.parametrize("check", CONTRACT, ids=lambda check: check.__name__)
def test_the_contract_is_kept_with_snapshots_too(check):
    check(made)


def test_without_a_snapshot_it_is_unimatch():
    batch = tiny_batch(3)
    ours, theirs = (losses(m, batch).losses for m in (made(0), make_method(UniMatch)))
    assert set(ours) == set(theirs)
    for name, term in ours.items():
        torch.testing.assert_close(term, theirs[name], rtol=0, atol=0)


@pytest.mark.parametrize(("index", "balance"), [(0, 0.0), (25, 0.5), (50, 1.0), (75, 0.5)])
def test_the_balance_is_a_triangle_and_the_factors_have_one_sum(index, balance):
    method, batch, now = made(), tiny_batch(3), replace(step(), index=index)
    assert method.balance(now) == pytest.approx(balance)
    assert method.balance(replace(now, index=100)) == 0
    torch.manual_seed(0)
    ours = method.losses(batch, now).losses
    torch.manual_seed(0)
    plain = make_method(UniMatch).losses(batch, replace(step(), index=index)).losses
    assert set(ours) - set(plain) == PREVIOUS
    for name, term in plain.items():
        torch.testing.assert_close(ours[name], 2 / (2 + balance) * term)
    assert all((ours[name] == 0) == (balance == 0) for name in PREVIOUS)


def test_snapshots_that_say_the_same_as_the_student_add_the_same_terms():
    """In float64 and with frozen BatchNorm, where own and pasted labels have one source."""
    method = made(1)
    method.student.freeze_bn = True
    method.double().train()
    batch = tiny_batch(3)
    views = [view.double() for view in batch.unlabeled.views]
    labeled = batch.labeled._replace(image=batch.labeled.image.double())
    batch = batch._replace(labeled=labeled, unlabeled=batch.unlabeled._replace(views=views))
    terms = losses(method, batch).losses
    for name in PREVIOUS:
        torch.testing.assert_close(terms[name], terms[name.removeprefix("prev_")])


@pytest.mark.parametrize(("count", "most"), [(1, 3), (2, 3), (8, 3)])
def test_one_to_three_different_snapshots_with_weights_of_sum_one(count, most):
    drawn = [draw_weights(count, most, Random(seed)) for seed in range(300)]
    assert {len(weights) for weights in drawn} == set(range(1, min(count, most) + 1))
    for weights in drawn:
        assert len({number for number, _ in weights}) == len(weights)
        assert sum(weight for _, weight in weights) == pytest.approx(1)
    assert {number for weights in drawn for number, _ in weights} == set(range(count))
    halves = [weights[0][1] for weights in drawn if len(weights) == 2]
    if halves:  # Dirichlet(1, 1) is uniform
        assert sum(halves) / len(halves) == pytest.approx(0.5, abs=0.1)
        assert min(halves) < 0.1 < 0.9 < max(halves)


def test_snapshots_are_taken_by_the_clock():
    times = sorted(snapshot_steps(8000, 1.2))
    assert times[:4] == [100, 120, 144, 173]
    assert len(times) == 25
    assert max(times) < 8000
    method, moments = make_method(PrevMatch, {"snapshots": 2}), []
    for index in range(80):
        before = method.earlier.taken
        method.after_step(replace(step(), index=index, total=80))
        moments += [index + 1] * (method.earlier.taken - before)
    assert moments == sorted(snapshot_steps(80, 1.2))


def test_an_average_confidence_weighs_all_pixels_of_an_image_and_no_padding():
    method, batch = made(1, prev_conf="average"), tiny_batch(3)
    valid = batch.unlabeled.valid
    valid[1, :, 5:] = False
    valid[2] = False
    labels = method.earlier_labels(batch.unlabeled, step())
    conf = method.earlier.copies[0](batch.unlabeled.views[0]).softmax(1).amax(1)
    for image in (0, 1):
        wanted = conf[image][valid[image]].mean().expand_as(conf[image])
        torch.testing.assert_close(labels.trusted[image], wanted)
    assert (labels.trusted[2] == 0).all()
    # a batch that is repeated has the loss of the batch
    twice = batch.unlabeled._replace(
        views=[torch.cat((v, v)) for v in batch.unlabeled.views], valid=torch.cat((valid, valid))
    )
    again = method.earlier_labels(twice, step())
    torch.testing.assert_close(again.trusted, labels.trusted.repeat(2, 1, 1))


def test_impossible_numbers_are_refused():
    with pytest.raises(UserError, match=r"option snapshot_growth of prevmatch is 1\.0; expected"):
        PrevMatch(snapshot_growth=1.0)
    with pytest.raises(UserError, match="option sampled of prevmatch is 0"):
        PrevMatch(sampled=0)
