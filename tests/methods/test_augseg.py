"""AugSeg: how certain the teacher is, where labeled pixels are pasted, and with which labels."""

import pytest
import torch

from ssseg.methods import augseg
from ssseg.methods.augseg import AugSeg, centred_boxes, certainty
from ssseg.ops.mix import Mixed, mix, roll_pairs
from ssseg.testing import make_method, step, tiny_batch
from ssseg.types import IGNORE

OWN, GIVEN = 0, 100
"""Values of the images tell where a pixel comes from: `OWN + i`, `GIVEN + j` of labeled ones."""


@pytest.fixture
def batch():
    batch = tiny_batch(AugSeg.num_views)
    for start, images in ((OWN, batch.unlabeled.views[1]), (GIVEN, batch.labeled.image)):
        images[:] = start + torch.arange(float(len(images)))[:, None, None, None]
    batch.unlabeled.valid[0, :9] = False
    return batch


def task_of(batch, sure, monkeypatch, seed=0, **hparams):
    """A task of a teacher that is so sure of every image."""
    monkeypatch.setattr(augseg, "certainty", lambda probs, valid: torch.full((len(probs),), sure))
    return make_method(AugSeg, hparams).task(batch, step(seed))


def test_certainty_is_one_for_a_sure_teacher_and_zero_for_one_that_guesses():
    probs = torch.full((3, 4, 2, 2), 0.25)
    probs[1:] = torch.tensor([1.0, 0, 0, 0])[:, None, None]
    probs[2, :, 0] = 0.25
    valid = torch.ones(3, 2, 2, dtype=torch.bool)
    torch.testing.assert_close(certainty(probs, valid), torch.tensor([0, 1, 0.5]))
    valid[2, 0] = False
    torch.testing.assert_close(certainty(probs, valid)[2], torch.tensor(1.0))
    probs = torch.rand(1, 4, 2, 2).softmax(1)
    entropy = (
        torch.distributions.Categorical(probs.movedim(1, -1)).entropy() / torch.tensor(4.0).log()
    )
    torch.testing.assert_close(
        certainty(probs, valid[:1])[0], ((1 - entropy) * probs.amax(1)).mean()
    )


def test_a_sure_teacher_gets_no_labeled_pixel(batch, monkeypatch):
    for seed in range(5):
        target = task_of(batch, 1.0, monkeypatch, seed).target
        assert (target.image < GIVEN).all()


def test_an_unsure_teacher_gets_a_labeled_box_in_every_copy(batch, monkeypatch):
    # the partner of each image as a whole: the copy itself is seen
    monkeypatch.setattr(augseg, "paste_all", paste := Remembers(augseg.paste_all))
    task_of(batch, 0.0, monkeypatch)
    copies = paste.results[0]
    given = copies.image[:, 0] >= GIVEN
    assert given.flatten(1).any(1).all()
    for i, j in enumerate([0, 0, 1, 2]):  # three labeled images for four
        assert (copies.image[i, 0][given[i]] == GIVEN + j).all()
        assert (copies.image[i, 0][~given[i]] == OWN + i).all()
        assert torch.equal(copies.label[i][given[i]], batch.labeled.label[j][given[i]])
        assert torch.equal(copies.valid[i][given[i]], batch.labeled.label[j][given[i]] != IGNORE)
        assert (copies.conf[i][given[i]] == 1).all()


class Remembers:
    """A function, and what it returned."""

    def __init__(self, function):
        self.function, self.results = function, []

    def __call__(self, *args):
        self.results.append(self.function(*args))
        return self.results[-1]


def test_every_pixel_is_its_own_or_of_the_next_images_copy(batch, monkeypatch):
    for seed in range(5):
        target, mask = task_of(batch, 0.5, monkeypatch, seed, threshold=1.1)[:2]
        kept, source = mask[:, 0], target.image[:, 0]
        own = torch.arange(4.0)[:, None, None]
        following = own.roll(-1, 0)
        from_label = source >= GIVEN
        assert torch.equal(kept, source == own)
        assert torch.equal(~kept, (source == following) | from_label)
        assert torch.equal(target.conf, from_label.float())  # nothing else is trusted
        assert not (from_label & kept).any()


def test_without_labeled_boxes_it_is_cutmix(batch):
    method = make_method(AugSeg, {"inject": False})
    target, mask, hard, trusted, _ = method.task(batch, step())
    plain = Mixed(batch.unlabeled.views[1], hard, trusted, batch.unlabeled.valid)
    for ours, theirs in zip(target, mix(plain, roll_pairs(4), mask), strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize(("beta", "area"), [((8.0, 2.0), 0.155), ((4.0, 4.0), 0.349)])
def test_boxes_have_the_published_law(beta, area):
    masks = centred_boxes((4000, 64, 48), beta, generator=torch.Generator().manual_seed(0))
    assert masks.float().mean() == pytest.approx(area, abs=0.01)
    rows, cols = masks[:, 0].any(2), masks[:, 0].any(1)
    assert torch.equal(masks[:, 0], rows[:, :, None] & cols[:, None, :])
    # centres begin at an eighth of a side, and a box is cut off at the border
    assert rows[:, 0].float().mean() < rows[:, -1].float().mean()
    assert centred_boxes((2, 1, 5), beta).shape == (2, 1, 1, 5)
