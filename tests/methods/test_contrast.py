"""Contrast: which labeled pixels enter the bank and which are compared."""

import pytest
import torch

from ssseg.errors import UserError
from ssseg.methods.contrast import Contrast
from ssseg.methods.unimatch_v2 import UniMatchV2
from ssseg.ops.sampling import at_grid
from ssseg.testing import NUM_CLASSES, losses, make_method, step, tiny_batch
from ssseg.types import IGNORE


@pytest.fixture(scope="module")
def batch():
    return tiny_batch(3)


def test_the_bank_holds_normalised_features_of_correct_pixels_only(batch):
    method = make_method(Contrast, {"anchors": 4, "bank": 8})
    method.student.freeze_bn = True
    method.train()
    (image, label), seen = batch.labeled, []
    method.projection.register_forward_hook(lambda _, given, out: seen.append((given[0], out)))
    method.supervised(batch.labeled, step())
    hidden, logits = method.student.hidden(image)
    right = label.where(logits.argmax(1) == label, IGNORE)
    classes = at_grid(right, method.student.padded(image), hidden.shape[-2:], IGNORE)
    pixels = {tuple(hidden[b, :, y, x].tolist()): int(classes[b, y, x])
              for b, y, x in (classes != IGNORE).nonzero().tolist()}  # fmt: skip
    (given, out), filled = seen[0], method.memory.filled
    counts = [min(4, int((classes == c).sum())) for c in range(NUM_CLASSES)]
    assert filled.sum(1).tolist() == counts
    assert sum(counts) > 4
    for c, count in enumerate(counts):
        assert len({tuple(v.tolist()) for v in given[c, :count]}) == count
        assert all(pixels[tuple(v.tolist())] == c for v in given[c, :count])
        wanted = torch.nn.functional.normalize(out[c, :count], dim=1)
        torch.testing.assert_close(method.memory.keys[c, :count].float(), wanted, atol=1e-3, rtol=0)


def test_wrong_predictions_give_no_anchor_and_no_gradient(batch):
    method = make_method(Contrast)
    wrong = batch.labeled._replace(label=torch.full_like(batch.labeled.label, IGNORE))
    term = method.supervised(wrong, step())["sup_contrast"]
    assert term == 0
    assert not method.memory.filled.any()
    grads = torch.autograd.grad(term, list(method.projection.parameters()))
    assert not any(grad.any() for grad in grads)


def test_the_other_terms_are_those_of_unimatch_v2(batch):
    """Without random choices: the anchors are drawn from the same generator."""
    plain = {"keep": 1.0, "box_probability": 0.0}
    ours, theirs = (losses(make_method(m, plain), batch).losses for m in (Contrast, UniMatchV2))
    assert set(ours) - set(theirs) == {"sup_contrast"}
    for name, term in theirs.items():
        torch.testing.assert_close(ours[name], term)


def test_anchors_that_do_not_fit_the_bank_are_refused():
    with pytest.raises(UserError, match="option anchors of contrast is 64; expected 1 to bank"):
        Contrast(bank=32)
