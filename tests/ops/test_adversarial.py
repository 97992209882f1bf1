"""The direction in which a prediction changes most, against float64 and against chance."""

import pytest
import torch

from ssseg.models.auxiliary_decoder import AuxiliaryDecoder
from ssseg.ops.adversarial import adversarial_direction, unit


def seeded():
    return torch.Generator().manual_seed(1)


def divergence(decode, feats, away):
    with torch.no_grad():
        ours, theirs = decode(feats).log_softmax(1), decode(feats + away).log_softmax(1)
    return (ours.exp() * (ours - theirs)).sum((1, 2, 3))


@pytest.fixture(scope="module")
def case():
    torch.manual_seed(0)
    decode, feats = AuxiliaryDecoder(64, 5, 4), torch.randn(2, 64, 24, 24).relu()
    wide = AuxiliaryDecoder(64, 5, 4).double()
    wide.load_state_dict(decode.state_dict())
    return decode, feats, wide


def test_a_unit_has_norm_one_however_small_it_was_and_zeros_stay():
    given = torch.stack([torch.full((3, 4), 1e-30), torch.zeros(3, 4), torch.randn(3, 4)])
    norms = unit(given).flatten(1).norm(dim=1)
    torch.testing.assert_close(norms, torch.tensor([1.0, 0.0, 1.0]))


def test_in_float32_the_direction_is_that_of_float64(case):
    """With the step of the released CCT code, 1e-6, it is rounding noise."""
    decode, feats, wide = case
    reference = adversarial_direction(wide, feats.double(), 1e-3, generator=seeded())

    def cosine(trial):
        ours = adversarial_direction(decode, feats, trial, generator=seeded())
        return (ours * reference).flatten(1).sum(1)

    assert (cosine(0.1) > 0.99).all()
    assert (cosine(1e-6).abs() < 0.5).all()


def test_predictions_change_more_than_by_chance(case):
    decode, feats, _ = case
    away = adversarial_direction(decode, feats, 0.1, generator=seeded())
    chance = unit(torch.randn(feats.shape, generator=seeded()))
    ours, theirs = (divergence(decode, feats, 2 * step) for step in (away, chance))
    assert (ours > 10 * theirs).all()


def test_only_counted_pixels_decide(case):
    """The decoder has no context, so the gradient elsewhere is 0."""
    decode, feats, _ = case
    counted = torch.zeros(2, 96, 96, dtype=torch.bool)
    counted[0, :8, :8] = True
    away = adversarial_direction(decode, feats, 0.1, counted, generator=seeded())
    assert away[0, :, :2, :2].norm() == pytest.approx(1, abs=1e-5)
    assert not away[0, :, 2:].any()
    assert not away[1].any()


def test_no_gradient_and_no_precision_leaks(case):
    decode, feats, _ = case
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        away = adversarial_direction(decode, feats.bfloat16(), 0.1, generator=seeded())
    assert away.dtype == torch.float32
    assert not away.requires_grad
    assert all(p.grad is None for p in decode.parameters())
