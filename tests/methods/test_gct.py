"""GCT: whose prediction is the target, who learns from which term, and which pixels count."""

import pytest
import torch
from torch.nn.functional import cross_entropy

from ssseg.methods.cps import Pair
from ssseg.methods.gct import GCT, from_less_flawed, what_is_seen
from ssseg.ops.flaws import cleaned, flaw_truth
from ssseg.testing import make_method, step, tiny_batch
from ssseg.types import IGNORE


@pytest.fixture(scope="module")
def batch():
    made = tiny_batch(GCT.num_views, labeled=2, unlabeled=2)
    made.unlabeled.valid[0, :, 20:] = False
    return made


@pytest.fixture
def method():
    made = make_method(GCT, {"threshold": 0.3})
    made.student.freeze_bn = made.peer.freeze_bn = True
    return made.train()


def test_the_target_of_a_pixel_is_the_less_flawed_prediction():
    #                      student better, peer better, both wrong, equal
    flaws = Pair(torch.tensor([[[0.1, 0.5, 0.7, 0.2]]]), torch.tensor([[[0.5, 0.1, 0.9, 0.2]]]))
    probs = Pair(*torch.rand(2, 1, 3, 1, 4, generator=torch.Generator().manual_seed(0)))
    probs.student.requires_grad_()
    targets = from_less_flawed(probs, flaws, 0.6)
    ours, theirs = probs
    for pixel, (mine, others) in enumerate(
        ((ours, ours), (theirs, theirs), (ours, theirs), (ours, theirs))
    ):
        assert torch.equal(targets.student[..., pixel], mine[..., pixel].detach())
        assert torch.equal(targets.peer[..., pixel], others[..., pixel].detach())
    assert not targets.student.requires_grad


def test_terms_are_those_of_plain_means_with_their_gradients(method, batch):
    (image, label), (views, valid) = batch.labeled, batch.unlabeled
    known = label != IGNORE
    both, counted = torch.cat((image, views[0])), torch.cat((known, valid))
    logits = Pair(method.student(both), method.peer(both))
    probs = Pair(*(one.softmax(1) for one in logits))
    found = Pair(*(method.flaw(what_is_seen(both, one, counted)) for one in probs))
    flaws = Pair(*(cleaned(one, counted) for one in found))
    targets = from_less_flawed(probs, flaws, 0.3)
    wrong = (flaws.student > 0.3) & (flaws.peer > 0.3)
    assert wrong.any()
    assert (counted & ~wrong).any()
    squares = sum((p - t).square().mean(1) for p, t in zip(probs, targets, strict=True))
    bad = (found.student.square() + found.peer.square()) * wrong
    first = torch.zeros(4, 1, 1, dtype=torch.bool)
    first[:2] = True
    truth = [flaw_truth(one[:2].detach(), label) for one in probs]
    detected = [(f[:2] - t).square()[known] for f, t in zip(found, truth, strict=True)]
    wanted = {
        "sup": cross_entropy(logits.student[:2], label, ignore_index=IGNORE),
        "sup_peer": cross_entropy(logits.peer[:2], label, ignore_index=IGNORE),
        "dc": 100 * squares[counted & ~first].sum() / counted.sum(),
        "sup_dc": 100 * squares[counted & first].sum() / counted.sum(),
        "fc": bad[counted & ~first].sum() / counted.sum(),
        "sup_fc": bad[counted & first].sum() / counted.sum(),
        "sup_flaw": 10 * torch.stack(detected).mean(),
    }
    terms = method.losses(batch, step()).losses
    assert set(terms) == set(wanted)
    for name, value in wanted.items():
        torch.testing.assert_close(terms[name], value)

    torch.stack(list(terms.values())).sum().backward()
    detector = wanted.pop("sup_flaw")
    sides = {"flaw": detector, "student": sum(wanted.values()), "peer": sum(wanted.values())}
    for part, loss in sides.items():
        parameters = list(getattr(method, part).parameters())
        grads = torch.autograd.grad(loss, parameters, retain_graph=True)
        for p, grad in zip(parameters, grads, strict=True):
            torch.testing.assert_close(p.grad, grad, atol=1e-5, rtol=1e-4)


def test_the_detector_learns_from_labels_only(method, batch):
    terms = method.losses(batch, step()).losses
    sides = {part: list(getattr(method, part).parameters()) for part in ("student", "peer", "flaw")}
    expected = {"sup": {"student"}, "sup_peer": {"peer"}, "sup_flaw": {"flaw"}}
    for name, term in terms.items():
        reached = {
            part
            for part, parameters in sides.items()
            if any(g is not None for g in torch.autograd.grad(
                term, parameters, retain_graph=True, allow_unused=True))
        }  # fmt: skip
        assert reached == expected.get(name, {"student", "peer"}), name


def test_the_detector_is_trained_in_the_warm_up_already(batch):
    method = make_method(GCT, {"warmup_steps": 10})
    terms = [set(method.losses(batch, step(index=index)).losses) for index in (9, 10)]
    assert terms[0] == {"sup", "sup_peer", "sup_flaw"}
    assert terms[1] - terms[0] == {"dc", "fc", "sup_dc", "sup_fc"}


def test_the_detector_is_frozen_like_the_network(method):
    norm = method.flaw.layers[1].batch
    assert not norm.training
    method.student.freeze_bn = "encoder"
    method.train()
    assert norm.training
