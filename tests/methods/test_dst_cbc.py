"""DST-CBC: the share of every class that is trusted, and what the student's belief weighs."""

import copy

import pytest
import torch
from torch.nn.functional import cross_entropy

from ssseg.errors import UserError
from ssseg.methods.dst_cbc import DSTCBC
from ssseg.testing import NUM_CLASSES, make_method, step, tiny_batch


@pytest.fixture(scope="module")
def batch():
    made = tiny_batch(DSTCBC.num_views, labeled=2, unlabeled=3)
    made.unlabeled.valid[0, :, 20:] = False
    return made


def frozen(**hparams):
    method = make_method(DSTCBC, hparams)
    method.student.freeze_bn = method.teacher.module.freeze_bn = True
    return method.train()


@pytest.mark.parametrize(("index", "share"), [(30, 0.2), (44, 0.4), (72, 0.8), (99, 1.0)])
def test_the_share_grows_by_stages_after_the_warm_up(index, share):
    assert DSTCBC(warmup_steps=0.3).share(step(index=index)) == pytest.approx(share)


def test_the_most_confident_pixels_of_every_class_are_trusted(batch):
    method = frozen(momentum=0.0)
    task = method.task(batch, step(index=40))  # a share of 0.6
    weak, valid = batch.unlabeled.views[0], batch.unlabeled.valid
    conf, hard = method.teacher(weak).softmax(1).max(1)
    present = 0
    for c in range(NUM_CLASSES):
        mine = valid & (hard == c)
        if mine.sum() < 20:
            continue
        present += 1
        kept = task.trusted[mine] > 0
        assert kept.float().mean() == pytest.approx(0.6, abs=0.05)
        assert conf[mine][kept].min() >= conf[mine][~kept].max() - 1e-3
    assert present > 1


def test_in_the_last_stage_all_pixels_are_trusted_but_those_below_the_floor(batch):
    valid = batch.unlabeled.valid
    assert frozen().task(batch, step(index=99)).trusted[valid].all()
    floor = frozen(threshold=0.25)
    conf = floor.teacher(batch.unlabeled.views[0]).softmax(1).amax(1)
    trusted = floor.task(batch, step(index=99)).trusted > 0
    assert torch.equal(trusted[valid], (conf >= 0.25)[valid])
    assert not trusted[valid].all()


@pytest.mark.parametrize("gamma", [0.0, 5.0])
def test_the_loss_weighs_trusted_pixels_by_the_students_belief(batch, gamma):
    method = frozen(gamma=gamma)
    twin = copy.deepcopy(method)
    term = method.losses(batch, step()).losses["unsup"]
    task = twin.task(batch, step())
    kept = (task.trusted > 0) & batch.unlabeled.valid
    logits = twin.student(batch.unlabeled.views[0])
    label = task.label.where(kept, 0)
    believed = logits.detach().softmax(1).gather(1, label[:, None])[:, 0] ** gamma
    error = believed * cross_entropy(logits, label, reduction="none")
    torch.testing.assert_close(term, error[kept].mean())
    parameters = [list(one.student.parameters()) for one in (method, twin)]
    wanted = torch.autograd.grad(error[kept].mean(), parameters[1])
    for ours, theirs in zip(torch.autograd.grad(term, parameters[0]), wanted, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_confidences_are_counted_over_steps_and_kept_in_checkpoints(batch):
    method = frozen(momentum=0.5)
    valid = int(batch.unlabeled.valid.sum())
    for total in (valid, 1.5 * valid, 1.75 * valid):
        method.losses(batch, step())
        assert float(method.counts.sum()) == total
    assert "counts" in method.state_dict()


def test_mixing_is_an_option_and_another_loss_is_not():
    assert DSTCBC().batch_size_notices(4, 1) == []
    assert len(DSTCBC(box_probability=0.5).batch_size_notices(4, 1)) == 1
    with pytest.raises(UserError, match="loss of DSTCBC 'squared_error'"):
        DSTCBC(loss="squared_error")
