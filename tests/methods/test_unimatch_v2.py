"""UniMatch V2: one label for two views, complementary channels, and what a plain step computes."""

import pytest
import torch

from ssseg.methods.unimatch_v2 import UniMatchV2
from ssseg.ops.mix import Mixed, mix, roll_pairs
from ssseg.testing import losses, make_method, step, tiny_batch
from ssseg.types import IGNORE


@pytest.fixture(scope="module")
def batch():
    batch = tiny_batch(UniMatchV2.num_views)
    batch.unlabeled.valid[:, :5] = False
    return batch


def plain_terms(method, batch, now):
    """The terms without dropout of channels, as the paper's algorithm reads."""
    weak, *strong = batch.unlabeled.views
    valid = batch.unlabeled.valid
    conf, hard = method.teacher(weak).softmax(1).max(1)
    hard = hard.where(valid, IGNORE)
    trusted = (conf >= method.threshold).float()
    terms, targets = [], []
    for view in strong:
        mask = method.mask(hard, now)
        targets.append(mix(Mixed(view, hard, trusted, valid), roll_pairs(4), mask))
    logits = method.student(torch.cat([t.image for t in targets])).chunk(2)
    for seen, target in zip(logits, targets, strict=True):
        error = torch.nn.functional.cross_entropy(
            seen, target.label, ignore_index=IGNORE, reduction="none"
        )
        terms.append(0.5 * (error * target.conf)[target.valid].sum() / target.valid.sum())
    return terms


def test_with_all_channels_a_step_is_fixmatch_on_two_views(batch):
    method = make_method(UniMatchV2, {"keep": 1.0, "threshold": 0.3})
    expected = plain_terms(method, batch, step())
    found = losses(method, batch).losses
    torch.testing.assert_close(found["strong_1"], expected[0])
    torch.testing.assert_close(found["strong_2"], expected[1])
    assert found["strong_1"] != found["strong_2"]


def test_the_two_views_of_an_image_see_complementary_channels(batch, monkeypatch):
    method = make_method(UniMatchV2, {"keep": 0.5})
    caught, encode, decode = {}, method.student.encode, method.student.decoder.forward
    monkeypatch.setattr(method.student, "encode", lambda x: caught.setdefault("all", encode(x)))

    def decoder(feats):
        caught["kept"] = feats
        return decode(feats)

    monkeypatch.setattr(method.student.decoder, "forward", decoder)
    first, second = batch.unlabeled.views[1:]
    method.streams(first, second, step())
    whole = []
    for feats, kept in zip(caught["all"][1:], caught["kept"][1:], strict=True):
        factors = [part / feats_part for part, feats_part in
                   zip(kept.chunk(2), feats.chunk(2), strict=True)]  # fmt: skip
        seen = torch.isfinite(factors[0]) & torch.isfinite(factors[1])
        assert torch.equal((factors[0] + factors[1])[seen], torch.full_like(feats[:4], 2)[seen])
        whole.append([bool((f[ok] == 1).all()) for f, ok in zip(factors[0], seen, strict=True)])
    assert all(sum(images) == 2 for images in whole)
    assert whole[0] == whole[-1]


@pytest.mark.parametrize("name", ["strong_1", "strong_2"])
def test_without_a_confident_pixel_a_term_is_zero(batch, name):
    assert losses(make_method(UniMatchV2, {"threshold": 1.1}), batch).losses[name] == 0
