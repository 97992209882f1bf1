"""CPS: two networks, whose labels for each other are constants."""

import pytest
import torch

from ssseg.methods.cps import CPS, Pair, cross_error
from ssseg.testing import make_method, step, tiny_network
from ssseg.types import IGNORE, Batch, Labeled, Unlabeled

SIDE = 8
CLASSES = 3


@pytest.fixture(scope="module")
def network():
    """Without statistics of a batch, so that passes do not depend on each other."""
    torch.manual_seed(0)
    made = tiny_network(CLASSES).double()
    made.freeze_bn = True
    return made


def made(network, **hparams):
    torch.manual_seed(1)
    method = CPS(warmup_steps=0, **hparams)
    method.setup(network)
    return method.double().train()


@pytest.fixture(scope="module")
def batch():
    g = torch.Generator().manual_seed(2)
    images = torch.randn(5, 3, SIDE, SIDE, generator=g).double()
    label = torch.randint(0, CLASSES, (2, SIDE, SIDE), generator=g)
    label[0, :3] = IGNORE
    valid = torch.ones(3, SIDE, SIDE, dtype=torch.bool)
    valid[1, :, 5:] = False
    return Batch(Labeled(images[:2], label), Unlabeled([images[2:]], valid))


def test_the_peer_has_the_same_encoder_and_another_decoder(network):
    method = made(network)
    for part, same in (("encoder", True), ("decoder", False)):
        ours, theirs = (getattr(n, part).state_dict() for n in (method.student, method.peer))
        assert all(torch.equal(ours[name], theirs[name]) for name in ours) == same
    assert list(method.networks) == ["peer", "student"]
    assert method.predictor == "student"


def crossed(method, batch):
    """Errors of all valid pixels of a kind of images, one by one, both networks in a row."""
    (image, label), (views, valid) = batch.labeled, batch.unlabeled
    found = []
    for images, known in ((image, label != IGNORE), (views[0], valid)):
        errors = []
        for learns, says in ((method.student, method.peer), (method.peer, method.student)):
            logits, target = learns(images), says(images).detach().argmax(1)
            for i, row, column in known.nonzero().tolist():
                pixel = logits[i, :, row, column].log_softmax(0)
                errors.append(-pixel[target[i, row, column]])
        found.append(torch.stack(errors))
    return found


def test_terms_and_gradients_are_those_of_one_mean_over_all_pixels(network, batch):
    """Labeled and unlabeled images of different numbers, with pixels that do not count."""
    method = made(network, weight=1.5)
    terms = method.losses(batch, step()).losses
    labeled, unlabeled = crossed(method, batch)
    pixels = (len(labeled) + len(unlabeled)) / 2
    torch.testing.assert_close(terms["cross"], 1.5 * unlabeled.sum() / pixels)
    torch.testing.assert_close(terms["sup_cross"], 1.5 * labeled.sum() / pixels)
    parameters = [p for n in (method.student, method.peer) for p in n.parameters()]
    wanted = torch.autograd.grad(1.5 * unlabeled.sum() / pixels, parameters)
    for ours, theirs in zip(torch.autograd.grad(terms["cross"], parameters), wanted, strict=True):
        torch.testing.assert_close(ours, theirs)
    assert any(grad.any() for grad in wanted[: len(wanted) // 2])
    assert any(grad.any() for grad in wanted[len(wanted) // 2 :])


def test_swapping_the_networks_swaps_their_supervised_terms_only(network, batch):
    method = made(network)
    before = method.losses(batch, step()).losses
    method.student, method.peer = method.peer, method.student
    after = method.losses(batch, step()).losses
    assert before["sup"] != before["sup_peer"]
    for name, other in {"sup": "sup_peer", "cross": "cross", "sup_cross": "sup_cross"}.items():
        torch.testing.assert_close(before[name], after[other])


def test_twins_train_themselves_twice():
    logits = torch.randn(2, CLASSES, SIDE, SIDE, dtype=torch.float64)
    twins, valid = Pair(logits, logits), torch.ones(2, SIDE, SIDE, dtype=torch.bool)
    alone = torch.nn.functional.cross_entropy(logits, logits.argmax(1), reduction="sum")
    torch.testing.assert_close(cross_error(twins, twins.labels(), valid), 2 * alone)


@pytest.mark.parametrize("seed", range(4))
def test_boxes_carry_the_labels_that_their_image_got_before_mixing(network, batch, seed):
    method = made(network, cutmix=True)
    task, weak = method.task(batch.unlabeled, step(seed)), batch.unlabeled.views[0]
    keeps = task.mask[:, 0]
    assert keeps.any()
    assert not keeps.all()
    for place, one in enumerate((method.student, method.peer)):
        label = one(weak).argmax(1)
        wanted = torch.where(keeps, label, label.roll(-1, 0))
        assert torch.equal(task.labels[place], wanted)
        assert torch.equal(task.said[place], label)
    valid = batch.unlabeled.valid
    assert torch.equal(task.valid, torch.where(keeps, valid, valid.roll(-1, 0)))
    assert torch.equal(task.image, torch.where(task.mask, weak, weak.roll(-1, 0)))
    assert set(method.losses(batch, step(seed)).losses) == {"sup", "sup_peer", "cross"}


@pytest.mark.parametrize(
    ("hparams", "frozen", "count"),
    [
        ({}, False, 1),
        ({"passes": "two"}, False, 2),
        ({"cutmix": True}, False, 3),
        ({"cutmix": True}, True, 2),
        ({"cutmix": True, "passes": "one"}, False, 2),
    ],
    ids=str,
)
def test_passes_are_as_published_where_they_share_statistics(hparams, frozen, count, batch):
    method = make_method(CPS, hparams)
    method.student.freeze_bn = method.peer.freeze_bn = frozen
    method.double().train()
    calls = []
    for network in method.networks.values():
        network.register_forward_hook(lambda *_: calls.append(1))
    method.losses(batch, step())
    assert len(calls) == 2 * count


def test_only_boxes_need_a_second_image():
    assert CPS().batch_size_notices(4, 1) == []
    (said,) = CPS(cutmix=True).batch_size_notices(4, 1)
    assert said.startswith("cps: the only unlabeled image of a step is mixed with itself")
