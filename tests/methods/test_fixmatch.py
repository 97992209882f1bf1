"""FixMatch: its target, its threshold, its boxes and its teacher."""

import pytest
import torch

from ssseg.methods.fixmatch import FixMatch
from ssseg.testing import SIDE, losses, make_method, step, tiny_batch


@pytest.fixture(scope="module")
def batch():
    return tiny_batch(FixMatch.num_views)


def test_without_boxes_the_target_is_the_argmax_of_the_teacher_on_the_weak_view(batch):
    method = make_method(FixMatch, {"box_probability": 0.0})
    target = method.task(batch, step()).target
    assert torch.equal(target.image, batch.unlabeled.views[1])
    assert torch.equal(target.label, method.teacher(batch.unlabeled.views[0]).argmax(1))


def test_the_loss_counts_confident_pixels_and_divides_by_all_valid_ones(batch):
    method = make_method(FixMatch, {"box_probability": 0.0})
    batch.unlabeled.valid[:, :9] = False
    conf, label = method.teacher(batch.unlabeled.views[0]).softmax(1).max(1)
    valid = batch.unlabeled.valid
    method.threshold = float(conf[valid].median())
    found = losses(method, batch).losses["unsup"]

    together = torch.cat((batch.labeled.image, batch.unlabeled.views[1]))
    logits = method.student(together)[len(batch.labeled.image) :]
    error = torch.nn.functional.cross_entropy(logits, label, reduction="none")
    kept = valid & (conf >= method.threshold)
    torch.testing.assert_close(found, error[kept].sum() / valid.sum())


def test_without_a_confident_pixel_the_term_is_zero(batch):
    method = make_method(FixMatch, {"threshold": 1.1})
    assert losses(method, batch).losses["unsup"] == 0


@pytest.mark.parametrize("probability", [0.0, 0.25, 1.0])
def test_a_share_of_the_images_gets_a_rectangle_of_its_partner(probability):
    method = make_method(FixMatch, {"box_probability": probability})
    masks = method.mask(torch.zeros(1000, SIDE, SIDE, dtype=torch.int64), step())
    boxes = ~masks.flatten(1)
    assert abs(boxes.any(1).float().mean() - probability) < 0.05
    assert boxes.float().mean() < 0.4


def test_without_decay_the_teacher_is_the_student_of_the_last_step():
    method = make_method(FixMatch, {"decay": 0.0})
    with torch.no_grad():
        for parameter in method.student.parameters():
            parameter.add_(1)
    method.after_step(step())
    pairs = zip(method.student.parameters(), method.teacher.parameters(), strict=True)
    assert all(torch.equal(ours, theirs) for ours, theirs in pairs)
