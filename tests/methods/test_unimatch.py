"""UniMatch: whose labels the pixels have, what the terms are, and the stream with dropout."""

import copy

import pytest
import torch

from ssseg.distributed import SINGLE
from ssseg.losses import trusted_from
from ssseg.methods.unimatch import Labels, UniMatch, consistency, labels_of, targets_of
from ssseg.ops.mix import Mixed
from ssseg.testing import losses, make_method, step, tiny_batch
from ssseg.types import IGNORE


@pytest.fixture(scope="module")
def batch():
    batch = tiny_batch(UniMatch.num_views)
    batch.unlabeled.valid[:, :5] = False
    return batch


def state_of(module):
    """Buffers, and the mode of every layer."""
    return [b.clone() for b in module.buffers()], [m.training for m in module.modules()]


def test_own_pixels_and_pasted_ones_have_the_labels_of_their_own_images(batch):
    unlabeled = batch.unlabeled
    shape = unlabeled.valid.shape
    own, partner = (
        Labels(torch.arange(4).view(4, 1, 1).expand(shape) + start, torch.full(shape, trust))
        for start, trust in ((0, 0.25), (10, 0.75))
    )
    masks = [torch.rand(4, 1, *shape[1:]) < 0.5 for _ in range(2)]
    targets = targets_of(unlabeled, own, partner, masks, SINGLE)
    for target, view, mask in zip(targets, unlabeled.views[1:], masks, strict=True):
        for image in range(4):
            mine, following = mask[image, 0], (image + 1) % 4
            assert (target.label[image][mine] == image).all()
            assert (target.label[image][~mine] == 10 + following).all()
            assert torch.equal(target.conf[image], torch.where(mine, 0.25, 0.75))
            assert torch.equal(target.image[image], torch.where(mine, view[image], view[following]))


def test_the_student_labels_its_images_as_it_learns_and_their_partners_in_eval_mode(batch):
    method, unlabeled = make_method(UniMatch, {"box_probability": 1.0}), batch.unlabeled
    twin = copy.deepcopy(method)
    out = losses(method, batch)

    before = state_of(twin)
    partner = twin.label(unlabeled)
    for ours, theirs in zip(state_of(twin), before, strict=True):
        assert all(torch.equal(torch.as_tensor(a), torch.as_tensor(b))
                   for a, b in zip(ours, theirs, strict=True))  # fmt: skip
    twin.student.eval()
    in_eval = twin.student(unlabeled.views[0]).argmax(1).where(unlabeled.valid, IGNORE)
    assert torch.equal(partner.hard, in_eval)
    twin.student.train()
    seen = twin.see(batch.labeled.image, unlabeled.views[0], step())
    own = labels_of(seen.weak, unlabeled.valid, 0.0)
    assert torch.equal(out.pseudo.label, own.hard)
    pasted = out.pseudo.target != own.hard
    assert pasted.any()
    assert torch.equal(out.pseudo.target[pasted], partner.hard.roll(-1, 0)[pasted])


def test_a_teacher_labels_all_pixels(batch):
    method = make_method(UniMatch, {"use_teacher": True})
    with torch.no_grad():
        for parameter in method.teacher.parameters():
            parameter.mul_(-1)
    expected = method.teacher(batch.unlabeled.views[0]).argmax(1).where(batch.unlabeled.valid, 255)
    assert torch.equal(losses(method, batch).pseudo.label, expected)


def test_terms_are_means_over_valid_pixels_with_their_weights(batch):
    target = Mixed(
        batch.unlabeled.views[1],
        torch.randint(0, 5, batch.unlabeled.valid.shape),
        trusted_from(torch.rand(batch.unlabeled.valid.shape), 0.4),
        batch.unlabeled.valid,
    )
    logits = torch.randn(4, 5, *target.label.shape[1:])
    error = torch.nn.functional.cross_entropy(logits, target.label, reduction="none")
    kept = target.valid & (target.conf == 1)
    expected = error[kept].sum() / target.valid.sum()
    torch.testing.assert_close(consistency(logits, target, SINGLE), expected)

    plain = losses(make_method(UniMatch), batch).losses
    scaled = {"weight": 2.0, "strong_weight": 1.0, "feature_weight": 0.0}
    found = losses(make_method(UniMatch, scaled), batch).losses
    for name, factor in (("sup", 1), ("strong_1", 8), ("strong_2", 8), ("feature", 0)):
        torch.testing.assert_close(found[name], factor * plain[name])


def test_labels_have_no_gradient(batch):
    method = make_method(UniMatch)
    see = method.see

    def blind(*args):
        seen = see(*args)
        return seen._replace(dropped=seen.dropped.detach().requires_grad_())

    method.see = blind
    term = losses(method, batch).losses["feature"]
    parameters = list(method.student.parameters())
    assert not any(
        g is not None and g.any() for g in torch.autograd.grad(term, parameters, allow_unused=True)
    )


@pytest.mark.parametrize(("dropout", "same"), [(0.0, True), (0.5, False)])
def test_without_dropout_the_two_streams_of_the_weak_view_are_one(batch, dropout, same):
    method = make_method(UniMatch, {"dropout": dropout})
    seen = method.see(batch.labeled.image, batch.unlabeled.views[0], step())
    assert torch.equal(seen.weak, seen.dropped) == same


def test_the_two_strong_views_have_boxes_of_their_own(batch):
    first, second = make_method(UniMatch, {"box_probability": 1.0}).masks(batch.unlabeled, step())
    assert not torch.equal(first, second)
    assert not first.flatten(1).all(1).any()
