"""VAT: the length and the direction of its perturbation, and the loss on perturbed images."""

import copy

import pytest
import torch

from ssseg.methods.vat import VAT, edge_norm
from ssseg.ops.adversarial import unit
from ssseg.testing import losses, make_method, step, tiny_batch


@pytest.fixture(scope="module")
def batch():
    made = tiny_batch(VAT.num_views, labeled=2, unlabeled=2)
    made.unlabeled.valid[1, :, 20:] = False
    return made


def test_edges_are_differences_of_valid_neighbours():
    g = torch.Generator().manual_seed(0)
    image, valid = torch.randn(2, 3, 5, 4, generator=g), torch.rand(2, 5, 4, generator=g) < 0.8
    for i in range(2):
        total = 0.0
        for y in range(5):
            for x in range(4):
                for below, right in ((y + 1, x), (y, x + 1)):
                    if below < 5 and right < 4 and valid[i, y, x] and valid[i, below, right]:
                        total += (image[i, :, y, x] - image[i, :, below, right]).square().sum()
        torch.testing.assert_close(edge_norm(image, valid)[i], total**0.5)


@pytest.mark.parametrize("adaptive", [True, False])
def test_the_norm_is_the_radius_and_padding_is_not_moved(batch, adaptive):
    method = make_method(VAT, {"radius": 0.5, "adaptive": adaptive})
    moved, valid = method.perturbation(batch.unlabeled, step()), batch.unlabeled.valid
    edges = edge_norm(batch.unlabeled.views[0], valid) / 2
    unit_of = edges if adaptive else torch.tensor([3 * 32 * 32.0, 3 * 32 * 20.0]).sqrt()
    torch.testing.assert_close(moved.flatten(1).norm(dim=1), 0.5 * unit_of)
    assert not moved[1, :, :, 20:].any()


@pytest.mark.parametrize("direction", ["teacher", "student"])
def test_float32_finds_the_direction_of_float64(batch, direction):
    """And it changes the prediction more than a random step of the same length."""
    method = make_method(VAT, {"direction": direction, "radius": 0.05})
    moved = method.perturbation(batch.unlabeled, step())
    wide = copy.deepcopy(method).double()
    views = [view.double() for view in batch.unlabeled.views]
    there = wide.perturbation(batch.unlabeled._replace(views=views), step())
    cosine = (unit(moved) * unit(there)).flatten(1).sum(1)
    assert (cosine > 0.9).all()

    weak, network = views[0], wide.teacher.module
    chance = torch.randn(weak.shape, generator=torch.Generator().manual_seed(3)).double()
    chance = unit(chance) * there.flatten(1).norm(dim=1)[:, None, None, None]

    def change(away):
        ours, theirs = network(weak).log_softmax(1), network(weak + away).log_softmax(1)
        return (ours.exp() * (ours - theirs)).sum((1, 2, 3))

    assert (change(moved.double()) > 2 * change(chance)).all()


def test_looking_for_a_direction_leaves_no_trace(batch):
    method = make_method(VAT, {"direction": "student"})
    before = copy.deepcopy(method.state_dict())
    method.perturbation(batch.unlabeled, step())
    assert all(torch.equal(value, before[name]) for name, value in method.state_dict().items())
    assert all(p.grad is None for p in method.parameters())
    assert all(module.training for module in method.student.modules())


def test_the_loss_is_on_perturbed_images_and_weighed_by_the_trusted_share(batch):
    method = make_method(VAT, {"passes": "two", "teacher_norm": "running"})
    weak, strong = batch.unlabeled.views
    valid, probs = batch.unlabeled.valid, method.teacher(weak).softmax(1)
    conf = probs.amax(1)
    method.threshold = float(conf[valid].median())
    share = (conf >= method.threshold)[valid].float().mean()
    term = losses(method, batch).losses["unsup"]
    image = strong + method.perturbation(batch.unlabeled, step())
    error = -(probs * method.student(image).log_softmax(1)).sum(1)
    torch.testing.assert_close(term, 0.1 * share * error[valid].sum() / valid.numel())
