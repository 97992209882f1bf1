"""DACS: what is pasted, with which labels and weights."""

import pytest
import torch

from ssseg.methods.dacs import DACS
from ssseg.testing import SIDE, losses, make_method, step, tiny_batch
from ssseg.types import IGNORE


@pytest.fixture
def batch():
    """Values of the images tell where a pixel comes from: 0 to 3, or 100 to 102 of labeled ones."""
    batch = tiny_batch(DACS.num_views)
    for start, images in ((0, batch.unlabeled.views[0]), (100, batch.labeled.image)):
        images[:] = start + torch.arange(float(len(images)))[:, None, None, None]
    batch.unlabeled.valid[0, :9] = False
    return batch


def task_of(batch, seed=0, **hparams):
    method = make_method(DACS, {"augment": False, **hparams})
    conf = method.teacher.label(batch.unlabeled.views[0]).softmax(1).amax(1)
    method.threshold = float(conf.median())
    trusted = (conf >= method.threshold)[batch.unlabeled.valid].float().mean()
    return method.task(batch, step(seed)), trusted


def test_half_of_the_classes_of_a_labeled_image_are_pasted_with_their_truth(batch):
    task, share = task_of(batch)
    target, given = task.target, task.target.image[:, 0] >= 100
    assert 0 < share < 1
    assert torch.equal(~given, task.mask[:, 0])  # True: the pixel of the input
    for i, j in enumerate([0, 0, 1, 2]):  # three labeled images for four
        label, image = batch.labeled.label[j], target.image[i, 0]
        assert set(image.unique().tolist()) <= {i, 100 + j}
        present = set(label.unique().tolist()) - {IGNORE}
        pasted = set(label[given[i]].unique().tolist())
        assert len(pasted) == (len(present) + 1) // 2
        assert torch.equal(given[i], torch.isin(label, torch.tensor(sorted(pasted))))
        assert torch.equal(target.label[i][given[i]], label[given[i]])
        assert (target.conf[i][given[i]] == 1).all()
        assert target.valid[i][given[i]].all()
        assert torch.equal(target.label[i][~given[i]], task.label[i][~given[i]])
        torch.testing.assert_close(target.conf[i][~given[i]], share.expand((~given[i]).sum()))
    assert not given[:, :2].any()  # these rows are IGNORE


def test_a_source_image_of_one_class_is_pasted_whole(batch):
    batch.labeled.label[:] = 3
    assert (task_of(batch)[0].target.image >= 100).all()
    assert (task_of(batch, rounding="floor")[0].target.image < 100).all()


def test_of_a_source_image_without_labels_nothing_is_pasted(batch):
    batch.labeled.label[:] = IGNORE
    assert (task_of(batch)[0].target.image < 100).all()


def test_an_image_without_a_valid_pixel_gets_nothing(batch):
    batch.unlabeled.valid[1] = False
    target = task_of(batch)[0].target
    assert (target.image[1] < 100).all()
    assert not target.valid[1].any()


@pytest.mark.parametrize(("conf_weight", "trusted"), [("none", 1.0), ("pixel", None)])
def test_pixels_with_pseudo_labels_may_have_other_weights(batch, conf_weight, trusted):
    task, _ = task_of(batch, conf_weight=conf_weight)
    own = task.mask[:, 0]
    expected = task.trusted if trusted is None else torch.full_like(task.trusted, trusted)
    assert torch.equal(task.target.conf[own], expected[own])


def test_the_loss_is_the_weighted_mean_over_all_pixels(batch):
    method = make_method(DACS, {"augment": False, "threshold": 1.1})
    out = losses(method, batch)
    target = method.task(batch, step()).target
    torch.manual_seed(0)
    logits = make_method(DACS).student(target.image)
    error = torch.nn.functional.cross_entropy(
        logits, target.label, ignore_index=IGNORE, reduction="none"
    )
    # nothing is trusted: only ground truth counts
    given = target.image[:, 0] >= 100
    torch.testing.assert_close(out.losses["unsup"], error[given].sum() / (4 * SIDE * SIDE))
