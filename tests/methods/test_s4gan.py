"""S4GAN: what the critic sees, who learns from which term, and which images become labels."""

import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, one_hot

from ssseg.methods.s4gan import S4GAN, with_image
from ssseg.testing import NUM_CLASSES, make_method, step, tiny_batch
from ssseg.types import IGNORE


@pytest.fixture(scope="module")
def batch():
    made = tiny_batch(S4GAN.num_views, labeled=2, unlabeled=3)
    made.unlabeled.valid[0, :, 20:] = False
    made.unlabeled.valid[2] = False
    return made


@pytest.fixture
def method():
    """Without statistics of a batch and without dropout in the critic."""
    made = make_method(S4GAN)
    made.student.freeze_bn = True
    made.train()
    for part in made.critic.modules():
        if isinstance(part, torch.nn.Dropout2d):
            part.p = 0.0
    return made


def judged_as(truth, judged):
    return binary_cross_entropy_with_logits(judged, torch.full_like(judged, float(truth)))


def test_terms_are_those_of_the_paper_and_train_one_side_each(method, batch):
    """The third unlabeled image is padding alone, and counts nowhere."""
    (image, label), (weak, valid) = batch.labeled, (batch.unlabeled.views[0], batch.unlabeled.valid)
    logits, known = method.student(weak), label != IGNORE
    probs = logits.softmax(1)
    truth = one_hot(label.where(known, 0), NUM_CLASSES).movedim(3, 1).float()
    truth = torch.where(known[:, None], truth, method.student(image).detach().softmax(1))
    real, judged_real = method.critic(with_image(truth, image))
    gradient = torch.where(valid[:, None], probs, probs.detach())
    fake, judged_fake = (part[:2] for part in method.critic(with_image(gradient, weak)))

    method.threshold = judged_fake.sigmoid().mean().item()  # between the two images
    terms = method.losses(batch, step()).losses
    kept = (judged_fake.sigmoid() >= method.threshold)[:, None, None] & valid[:2]
    assert kept.any()
    assert kept.sum() < valid[:2].sum()
    errors = cross_entropy(logits, logits.argmax(1), reduction="none")[:2]
    wanted = {
        "sup": cross_entropy(method.student(image), label, ignore_index=IGNORE),
        "match": 0.1 * (real.detach().mean(0) - fake.mean(0)).abs().mean(),
        "semi": errors[kept].mean(),
        "critic": 0.5 * (judged_as(0, judged_fake) + judged_as(1, judged_real)),
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
            torch.testing.assert_close(p.grad, grad, atol=1e-6, rtol=1e-4)


def test_an_image_is_scaled_by_itself():
    """In the released code ground truth is scaled by the maximum of its batch."""
    image, probs = torch.randn(3, 3, 8, 8), torch.rand(3, 5, 8, 8)
    image[1] *= 10
    seen = with_image(probs, image)
    assert torch.equal(seen[:, :5], probs)
    assert torch.equal(seen[:, 5:].amin((1, 2, 3)), torch.zeros(3))
    torch.testing.assert_close(seen[:, 5:].amax((1, 2, 3)), torch.ones(3))
    for i in range(3):
        assert torch.equal(with_image(probs[i : i + 1], image[i : i + 1]), seen[i : i + 1])


def test_pixels_without_a_label_are_filled_with_the_prediction(method, batch):
    """Zeros there would tell truth from prediction."""
    seen = []
    method.critic.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    method.losses(batch, step())
    real = next(maps for maps in seen if len(maps) == 5)[:2, :NUM_CLASSES]
    torch.testing.assert_close(real.sum(1), torch.ones(2, 32, 32))
    said, known = method.student(batch.labeled.image).softmax(1), batch.labeled.label != IGNORE
    torch.testing.assert_close(real.movedim(1, -1)[~known], said.movedim(1, -1)[~known].detach())
    assert (real.movedim(1, -1)[known].amax(1) == 1).all()


@pytest.mark.parametrize(("threshold", "share"), [(0.0, 1.0), (1.1, 0.0)])
def test_whole_images_are_trusted(method, batch, threshold, share):
    method.threshold = threshold
    out = method.losses(batch, step())
    assert out.logs["trusted"] == share
    assert (out.losses["semi"] > 0) == (share > 0)


def test_only_self_training_waits_for_the_warm_up(batch):
    method = make_method(S4GAN, {"warmup_steps": 0.3})
    before, after = (set(method.losses(batch, step(index=i)).losses) for i in (29, 30))
    assert after - before == {"semi"}
