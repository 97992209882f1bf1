"""CorrMatch: what its terms are made of, against plain computations."""

import pytest
import torch

from ssseg.methods.corrmatch import CorrMatch, class_confidence, spread
from ssseg.models.correlation import carried
from ssseg.testing import step, tiny_network
from ssseg.types import IGNORE, Batch, Labeled, Unlabeled

SIDE, CLASSES = 16, 3
UNLABELED = ("strong", "kl", "feature", "corr_strong", "corr_weak")


@pytest.fixture(scope="module")
def network():
    """Without statistics of a batch."""
    torch.manual_seed(0)
    made = tiny_network(CLASSES).double()
    made.freeze_bn = True
    return made


def made(network, **hparams):
    torch.manual_seed(1)
    method = CorrMatch(warmup_steps=0, **hparams)
    method.setup(network)
    method.head.project[1].p = 0.0
    return method.double().train()


@pytest.fixture(scope="module")
def batch():
    g = torch.Generator().manual_seed(2)
    images = torch.randn(6, 3, SIDE, SIDE, generator=g).double()
    label = torch.randint(0, CLASSES, (2, SIDE, SIDE), generator=g)
    valid = torch.ones(2, SIDE, SIDE, dtype=torch.bool)
    valid[1, :, 12:] = False
    views = [images[2:4], images[4:]]
    return Batch(Labeled(images[:2], label), Unlabeled(views, valid))


def cross_entropy(logits, label, valid):
    errors = torch.nn.functional.cross_entropy(logits, label, reduction="none")
    return errors[valid].mean()


def test_terms_of_trusted_pixels_without_mixing_or_regions(network, batch):
    """Every pixel is trusted, nothing is pasted, no region has one label, nothing is dropped."""
    options = {"threshold": 0.0, "box_probability": 0.0, "dropout": 0.0, "regions": 0}
    method = made(network, momentum=1.0, **options)
    terms = method.losses(batch, step()).losses
    (image, label), (weak, strong), valid = batch.labeled, *batch.unlabeled
    hard = network(weak).argmax(1)
    says = {}
    for name, images in (("labeled", image), ("weak", weak), ("strong", strong)):
        feats = network.encode(images)
        given = carried(network.decoder(feats), method.head(feats[-1]), (2, 2), "sum")
        says[name] = network.upsample(given, images)
    log_probs, probs = network(strong).log_softmax(1), network(weak).softmax(1)
    divergence = (probs * (probs.log() - log_probs)).sum(1)[valid].mean()
    known = torch.ones_like(label, dtype=torch.bool)
    wanted = {
        "sup": 0.5 * cross_entropy(network(image), label, known),
        "sup_corr": 0.5 * cross_entropy(says["labeled"], label, known),
        "strong": 0.25 * cross_entropy(network(strong), hard, valid),
        "kl": 0.25 * divergence,
        "feature": 0.25 * cross_entropy(network(weak), hard, valid),
        "corr_strong": 0.125 * cross_entropy(says["strong"], hard, valid),
        "corr_weak": 0.125 * cross_entropy(says["weak"], hard, valid),
    }
    assert set(terms) == set(wanted)
    for name, value in wanted.items():
        torch.testing.assert_close(terms[name], value)


def test_nothing_above_the_threshold_is_no_loss(network, batch):
    terms = made(network, threshold=1.1, momentum=1.0).losses(batch, step()).losses
    assert all(terms[name] == 0 for name in UNLABELED)


def test_probabilities_are_pasted_like_the_image(network, batch):
    """The target of a pasted pixel is what its own image got (the released code has another's)."""
    method = made(network, box_probability=1.0)
    g = torch.Generator().manual_seed(0)
    own, partner = torch.rand(2, 2, CLASSES, SIDE, SIDE, generator=g).double().softmax(2)
    target, mask = method.mixed(batch.unlabeled, own, partner, step())
    keeps, strong = mask.expand_as(own), batch.unlabeled.views[1]
    assert torch.equal(target.label, torch.where(keeps, own, partner.roll(-1, 0)))
    assert torch.equal(target.conf, target.label.amax(1))
    assert torch.equal(target.image, torch.where(mask, strong, strong.roll(-1, 0)))
    assert (~mask).flatten(1).any(1).all()


def test_regions_change_only_valid_pixels_that_are_not_pasted(network, batch, monkeypatch):
    method = made(network, box_probability=1.0)
    everywhere = torch.ones(2, 1, SIDE, SIDE, dtype=torch.bool)
    monkeypatch.setattr("ssseg.methods.corrmatch.random_regions", lambda *_, **__: everywhere)
    own = network(batch.unlabeled.views[0]).softmax(1)
    soft, mask = method.mixed(batch.unlabeled, own, own, step())
    target = soft._replace(label=torch.full_like(soft.label[:, 0], IGNORE).long())
    target.label[:, :, :4] = 2
    trusted = target.label == 2
    seen, _ = method.see(batch.unlabeled.views[0], step())
    found = spread(target, trusted, mask[:, 0], seen, torch.tensor(0.1), 1, step())
    mine = mask[:, 0] & target.valid
    assert (found.label[mine] == 2).all()
    assert torch.equal(found.label[~mine], target.label[~mine])
    assert torch.equal(found.conf > 0, trusted | mine)
    assert not mine.all()


def test_the_threshold_is_the_mean_of_the_largest_confidences_averaged_over_steps(network, batch):
    method = made(network, momentum=0.9)
    conf, hard = network(batch.unlabeled.views[0]).softmax(1).max(1)
    valid = batch.unlabeled.valid
    largest = [conf[valid & (hard == c)].max() for c in hard[valid].unique()]
    method.losses(batch, step())
    mean = torch.stack(largest).mean()
    torch.testing.assert_close(method.level, 0.9 * torch.tensor(0.85).double() + 0.1 * mean)
    nothing = class_confidence(conf, hard, torch.zeros_like(valid), CLASSES)
    before = method.level.clone()
    method._learn_level(nothing, step().devices)
    torch.testing.assert_close(method.level, before, rtol=0, atol=0)


def test_the_head_is_frozen_like_the_network(network):
    method = made(network)
    assert not method.head.project[0][1].training
    network.freeze_bn = "encoder"
    assert method.train().head.project[0][1].training
    network.freeze_bn = True
