import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.autograd import gradcheck

from ssseg.ops import as_distribution, blend, decouple_prediction, one_hot
from ssseg.types import IGNORE

few = settings(max_examples=30, deadline=None)
side = st.integers(1, 5)
seeds = st.integers(0, 2**31)
HALVES = [torch.float16, torch.bfloat16]


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def draw(*shape, seed=0, dtype=torch.float64):
    return torch.randn(shape, generator=seeded(seed), dtype=torch.float64).to(dtype)


def shares(batch, seed=0):
    """In (0, 0.5), where they can be divided by their rest."""
    return torch.rand(batch, generator=seeded(seed), dtype=torch.float64) / 2


def of_images(share):
    return share.view(-1, 1, 1, 1)


class TestDecouplePrediction:
    @few
    @given(st.integers(1, 4), st.integers(1, 4), side, side, st.booleans(), seeds)
    def test_agrees_with_the_loop(self, batch, classes, height, width, divided, seed):
        mixed, labeled = draw(2, batch, classes, height, width, seed=seed)
        share, rest = shares(batch, seed), 1 - shares(batch, seed + 1)
        result = decouple_prediction(mixed, labeled, share, rest if divided else None)

        assert result.shape == mixed.shape
        for b, c, y, x in np.ndindex(*mixed.shape):
            left = float(mixed[b, c, y, x]) - float(share[b]) * float(labeled[b, c, y, x])
            expected = left / float(rest[b]) if divided else left
            assert float(result[b, c, y, x]) == pytest.approx(expected, rel=1e-12, abs=1e-12)

    @few
    @given(st.integers(1, 4), st.sampled_from([1, 3]), st.booleans(), seeds)
    def test_finds_the_other_image_behind_a_linear_network(self, batch, kernel, bias, seed):
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            network = nn.Conv2d(3, 5, kernel, padding=kernel // 2, bias=bias).double()
        labeled, unlabeled = draw(2, batch, 3, 6, 5, seed=seed)
        lam = shares(batch, seed)
        mixed = network(blend(labeled, unlabeled, lam))
        left = decouple_prediction(mixed, network(labeled), lam)
        divided = decouple_prediction(mixed, network(labeled), lam, 1 - lam)

        expected = network(unlabeled)
        torch.testing.assert_close(left, (1 - of_images(lam)) * expected, atol=1e-10, rtol=0)
        torch.testing.assert_close(divided, expected, atol=1e-10, rtol=0)

    def test_hard_leaves_what_the_other_image_has_more(self):
        # M_mix - M_l = (1 - lam) (M_u - M_l): nothing where both images say the same
        labeled, unlabeled = draw(2, 3, 4, 5, 6)
        unlabeled[..., :2] = labeled[..., :2]
        lam = shares(3)
        mixed = blend(labeled, unlabeled, lam)
        left = decouple_prediction(mixed, labeled, torch.ones(3))

        expected = (1 - of_images(lam)) * (unlabeled - labeled)
        torch.testing.assert_close(left, expected, atol=1e-10, rtol=0)
        assert left[..., :2].abs().max() < 1e-10
        torch.testing.assert_close(left, mixed - labeled, atol=0, rtol=0)

    @pytest.mark.parametrize("remainder", [None, torch.ones(3)])
    def test_takes_nothing_away_for_a_share_of_nothing(self, remainder):
        mixed, labeled = draw(2, 3, 4, 5, 6)

        assert torch.equal(decouple_prediction(mixed, labeled, torch.zeros(3), remainder), mixed)

    def test_of_an_image_with_itself_keeps_the_scale_only_with_the_remainder(self):
        # the formula as printed has no fixed point: each image's mask would be (1 - lam) itself
        own, lam = draw(3, 4, 5, 6), shares(3)
        printed = decouple_prediction(own, own, lam)
        divided = decouple_prediction(own, own, lam, 1 - lam)

        torch.testing.assert_close(printed, (1 - of_images(lam)) * own, atol=1e-12, rtol=0)
        assert not torch.allclose(printed, own, rtol=1e-3)
        torch.testing.assert_close(divided, own, atol=1e-12, rtol=0)

    def test_recovers_probabilities_that_mix_like_the_images(self):
        ours, theirs = draw(2, 3, 4, 5, 6).mul(3).softmax(2)
        lam = shares(3)
        logits = blend(ours, theirs, lam).log()
        left = decouple_prediction(logits.softmax(1), ours, lam, 1 - lam)

        torch.testing.assert_close(left, theirs, atol=1e-10, rtol=0)
        torch.testing.assert_close(left.sum(1), torch.ones(3, 5, 6).double(), atol=1e-10, rtol=0)
        torch.testing.assert_close(as_distribution(left), theirs, atol=1e-5, rtol=0)

    def test_follows_the_order_of_the_images(self):
        mixed, labeled = draw(2, 4, 3, 2, 2)
        lam, order = shares(4), torch.tensor([2, 0, 3, 1])
        whole = decouple_prediction(mixed, labeled, lam, 1 - lam)
        part = decouple_prediction(mixed[order], labeled[order], lam[order], 1 - lam[order])

        assert torch.equal(part, whole[order])

    @pytest.mark.parametrize("dtype", HALVES, ids=str)
    @pytest.mark.parametrize("divided", [False, True])
    def test_keeps_the_precision_of_the_scores(self, dtype, divided):
        mixed, labeled = torch.ones(2, 1, 3, 3, dtype=dtype), torch.ones(2, 1, 3, 3, dtype=dtype)
        lam = torch.full((2,), 0.25)
        result = decouple_prediction(mixed, labeled, lam, 1 - lam if divided else None)

        assert result.dtype == dtype
        assert (result == (1 if divided else 0.75)).all()

    def test_leaves_its_input(self):
        parts = [*draw(2, 3, 4, 5, 6), shares(3), 1 - shares(3)]
        before = [part.clone() for part in parts]
        decouple_prediction(*parts).zero_()

        assert all(torch.equal(a, b) for a, b in zip(parts, before, strict=True))

    def test_sends_gradients_to_both_predictions(self):
        mixed, labeled = (part.clone().requires_grad_() for part in draw(2, 2, 2, 2, 2))
        lam = shares(2)
        assert gradcheck(lambda m, p: decouple_prediction(m, p, lam, 1 - lam), (mixed, labeled))

        decouple_prediction(mixed, labeled, lam, 1 - lam).sum().backward()
        rest = of_images(1 / (1 - lam))
        torch.testing.assert_close(mixed.grad, rest.expand_as(mixed))
        torch.testing.assert_close(labeled.grad, (-of_images(lam) * rest).expand_as(labeled))


class TestOneHot:
    @few
    @given(st.integers(1, 3), st.integers(1, 4), side, side, seeds)
    def test_agrees_with_the_loop(self, batch, classes, height, width, seed):
        g = seeded(seed)
        label = torch.randint(0, classes + 1, (batch, height, width), generator=g)
        label[label == classes] = IGNORE
        before = label.clone()
        scores = one_hot(label, torch.empty(1, classes, 2, 2, dtype=torch.float64))

        assert scores.dtype == torch.float64
        assert scores.shape == (batch, classes, height, width)
        assert torch.equal(label, before)
        for b, c, y, x in np.ndindex(*scores.shape):
            assert scores[b, c, y, x] == (label[b, y, x] == c)


class TestAsDistribution:
    @few
    @given(st.integers(1, 3), st.integers(1, 5), side, side, seeds)
    def test_is_one_at_every_pixel(self, batch, classes, height, width, seed):
        made = as_distribution(draw(batch, classes, height, width, seed=seed))

        assert (made >= 0).all()
        ones = torch.ones(batch, height, width, dtype=torch.float64)
        torch.testing.assert_close(made.sum(1), ones, atol=1e-12, rtol=0)

    @few
    @given(st.integers(1, 5), seeds)
    def test_agrees_with_the_loop(self, classes, seed):
        scores = draw(2, classes, 3, 4, seed=seed)
        made = as_distribution(scores)

        for b, y, x in np.ndindex(2, 3, 4):
            positive = [max(0.0, value) for value in scores[b, :, y, x].tolist()]
            if sum(positive) < 0.01:
                continue  # the share of the small constant is no longer small
            expected = [value / sum(positive) for value in positive]
            assert made[b, :, y, x].tolist() == pytest.approx(expected, abs=1e-3)

    @pytest.mark.parametrize("dtype", [torch.float32, *HALVES], ids=str)
    def test_is_uniform_where_nothing_is_left(self, dtype):
        scores = -draw(2, 4, 3, 3, dtype=dtype).abs()
        scores[:, :, 0] = 0
        made = as_distribution(scores)

        assert made.dtype == dtype
        torch.testing.assert_close(made, torch.full_like(made, 1 / 4), atol=1e-3, rtol=0)

    @pytest.mark.parametrize(
        ("dtype", "atol"), [(torch.float64, 1e-5), (torch.float16, 2e-3), (torch.bfloat16, 1e-2)]
    )
    def test_leaves_a_distribution(self, dtype, atol):
        probs = draw(2, 4, 5, 6).mul(3).softmax(1).to(dtype)
        made = as_distribution(probs)

        assert made.dtype == dtype
        torch.testing.assert_close(made, probs, atol=atol, rtol=0)

    def test_leaves_its_input(self):
        scores = draw(2, 4, 5, 6)
        before = scores.clone()
        as_distribution(scores).zero_()

        assert torch.equal(scores, before)

    def test_does_not_depend_on_the_scale_of_what_is_left(self):
        scores = draw(2, 4, 5, 6)
        scores[:, 0] = 1

        made, larger = as_distribution(scores), as_distribution(7 * scores)
        torch.testing.assert_close(made, larger, atol=1e-5, rtol=0)

    def test_keeps_the_order_of_what_is_left(self):
        scores = draw(2, 4, 5, 6)
        left = scores.amax(1) > 0
        made = as_distribution(scores)

        assert 0 < left.sum() < left.numel()
        assert torch.equal(made.argmax(1)[left], scores.argmax(1)[left])
        assert (made[(scores < 0) & left[:, None]] < 1e-3).all()

    def test_has_a_finite_gradient_where_nothing_is_left(self):
        scores = -torch.ones(1, 3, 2, 2, requires_grad=True)
        (grad,) = torch.autograd.grad(as_distribution(scores)[:, 0].sum(), scores)

        assert torch.equal(grad, torch.zeros_like(grad))
