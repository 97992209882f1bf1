"""AdvSemiSeg: who learns from which term, and which pixels count."""

import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, one_hot

from ssseg.methods.advsemiseg import AdvSemiSeg
from ssseg.testing import NUM_CLASSES, make_method, step, tiny_batch
from ssseg.training.optimizer import OptimizerConfig, parameter_groups
from ssseg.types import IGNORE


@pytest.fixture(scope="module")
def batch():
    made = tiny_batch(AdvSemiSeg.num_views, labeled=2, unlabeled=3)
    made.unlabeled.valid[0, :, 20:] = False
    return made


@pytest.fixture
def method():
    made = make_method(AdvSemiSeg)
    made.student.freeze_bn = True
    return made.train()


def maps(method, batch):
    """Probabilities and one-hot labels, 0 where pixels do not count; and where they count."""
    (image, label), (views, valid) = batch.labeled, batch.unlabeled
    known = label != IGNORE
    truth = one_hot(label.where(known, 0), NUM_CLASSES).movedim(3, 1) * known[:, None]
    logits = [method.student(image), method.student(views[0])]
    probs = [x.softmax(1) * w[:, None] for x, w in zip(logits, (known, valid), strict=True)]
    return probs, truth.float(), logits, (known, valid)


def judged_as(truth, judged, counted):
    target = torch.full_like(judged, float(truth))
    return binary_cross_entropy_with_logits(judged, target, reduction="none")[counted]


def test_terms_are_means_and_one_backward_pass_gives_what_two_optimisers_get(method, batch):
    (ours, theirs), truth, logits, (known, valid) = maps(method, batch)
    see = method.critic
    fakes = [judged_as(0, see(ours), known), judged_as(0, see(theirs), valid)]
    hard = logits[1].argmax(1)
    credible = see(theirs).sigmoid()
    method.threshold = credible[valid].median().item()
    terms = method.losses(batch, step()).losses
    kept = valid & (credible >= method.threshold)
    assert kept.any()
    assert (valid & ~kept).any()
    wanted = {
        "sup": cross_entropy(logits[0], batch.labeled.label, ignore_index=IGNORE),
        "sup_adv": 0.01 * judged_as(1, see(ours), known).mean(),
        "adv": 0.001 * judged_as(1, see(theirs), valid).mean(),
        "critic": 0.5 * (torch.cat(fakes).mean() + judged_as(1, see(truth), known).mean()),
        "semi": 0.1 * cross_entropy(logits[1], hard, reduction="none")[kept].mean(),
    }
    assert set(terms) == set(wanted)
    for name, value in wanted.items():
        torch.testing.assert_close(terms[name], value)

    torch.stack(list(terms.values())).sum().backward()
    critics = wanted.pop("critic")
    for part, loss in (("critic", critics), ("student", sum(wanted.values()))):
        parameters = list(getattr(method, part).parameters())
        grads = torch.autograd.grad(loss, parameters, retain_graph=True)
        for p, grad in zip(parameters, grads, strict=True):
            torch.testing.assert_close(p.grad, grad)


def test_terms_train_one_side_only(method, batch):
    terms = method.losses(batch, step()).losses
    sides = {part: list(getattr(method, part).parameters()) for part in ("student", "critic")}
    for name, term in terms.items():
        reached = {
            part
            for part, parameters in sides.items()
            if any(g is not None for g in torch.autograd.grad(
                term, parameters, retain_graph=True, allow_unused=True))
        }  # fmt: skip
        assert reached == {"critic" if name == "critic" else "student"}, name


def test_what_stands_at_ignored_pixels_changes_nothing(method, batch):
    """With a student that has no context, so that only those pixels change."""
    torch.manual_seed(0)
    method.student = torch.nn.Conv2d(3, NUM_CLASSES, 1)
    before = method.losses(batch, step()).losses
    ignored, invalid = batch.labeled.label == IGNORE, ~batch.unlabeled.valid
    image = batch.labeled.image.masked_fill(ignored[:, None], 9.0)
    weak = batch.unlabeled.views[0].masked_fill(invalid[:, None], 9.0)
    other = batch._replace(
        labeled=batch.labeled._replace(image=image),
        unlabeled=batch.unlabeled._replace(views=[weak]),
    )
    after = method.losses(other, step()).losses
    for name, term in before.items():
        torch.testing.assert_close(after[name], term)


@pytest.mark.parametrize(("threshold", "share"), [(0.0, 1.0), (1.1, 0.0)])
def test_the_threshold_is_the_critics_probability(method, batch, threshold, share):
    method.threshold = threshold
    out = method.losses(batch, step())
    assert out.logs["trusted"] == share
    assert (out.losses["semi"] > 0) == (share > 0)


def test_only_self_training_waits_for_the_warm_up(batch):
    method = make_method(AdvSemiSeg, {"warmup_steps": 0.25})
    before, after = (set(method.losses(batch, step(index=i)).losses) for i in (24, 25))
    assert after - before == {"semi"}
    assert {"sup", "sup_adv", "adv", "critic"} == before
    assert list(method.idle(step(index=24))) == []


def test_the_critic_has_a_tenth_of_the_learning_rate(method):
    groups = parameter_groups(method, OptimizerConfig(lr=1e-3))
    rate = {group["name"]: group["lr"] for group in groups}
    assert rate == {"encoder": 1e-3, "critic": pytest.approx(1e-4), "rest": 1e-3}
    (critic,) = (group["params"] for group in groups if group["name"] == "critic")
    assert critic == list(method.critic.parameters())
