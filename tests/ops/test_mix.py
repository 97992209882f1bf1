import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from ssseg.ops import (
    Mixed,
    beta_lambda,
    blend,
    labeled_samples,
    mix,
    most_similar,
    paste,
    permutation_pairs,
    random_candidates,
    roll_pairs,
)
from ssseg.types import IGNORE, Labeled
from tests.reference import masks as reference

few = settings(max_examples=30, deadline=None)
side = st.integers(1, 6)
seeds = st.integers(0, 2**31)


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def sample(batch=3, height=5, width=4, *, soft=False, dtype=torch.float32, seed=0):
    """Parts in which every value says where it comes from, and a random mask."""
    number = torch.arange(batch * height * width).view(batch, height, width)
    image = torch.stack([number, -number, number + 0.5], 1).to(dtype)
    label = torch.stack([number, -number], 1).to(dtype) if soft else number
    g = seeded(seed)
    valid = torch.rand(batch, height, width, generator=g) < 0.5
    mask = torch.rand(batch, 1, height, width, generator=g) < 0.5
    return Mixed(image, label, number / number.numel(), valid), mask


class TestMix:
    @few
    @given(st.integers(1, 4), side, side, st.booleans(), seeds)
    def test_agrees_with_the_loop(self, batch, height, width, soft, seed):
        ours, mask = sample(batch, height, width, soft=soft, seed=seed)
        partner = torch.randint(batch, (batch,), generator=seeded(seed))
        mixed = mix(ours, partner, mask)

        for part, result in zip(ours, mixed, strict=True):
            expected = reference.mix(part.numpy(), partner.numpy(), mask.numpy())
            assert np.array_equal(result, expected)
            assert result.dtype == part.dtype

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
    @pytest.mark.parametrize("soft", [False, True])
    def test_takes_every_pixel_of_every_part_from_one_source(self, dtype, soft):
        ours, mask = sample(soft=soft, dtype=dtype)
        partner = roll_pairs(3)
        mixed = mix(ours, partner, mask)
        theirs = Mixed(*(part[partner] for part in ours))

        assert mixed.image.dtype == dtype
        assert mixed.label.dtype == ours.label.dtype
        assert mixed.valid.dtype == torch.bool
        for part, mine, other in zip(mixed, ours, theirs, strict=True):
            for b, y, x in np.ndindex(3, 5, 4):
                source = mine if mask[b, 0, y, x] else other
                assert torch.equal(part[b, ..., y, x], source[b, ..., y, x])

    def test_is_the_identity_with_oneself(self):
        ours, mask = sample()

        for part, result in zip(ours, mix(ours, torch.arange(3), mask), strict=True):
            assert torch.equal(part, result)

    def test_keeps_all_or_nothing_under_a_constant_mask(self):
        ours, mask = sample()
        partner = roll_pairs(3)
        full = mix(ours, partner, torch.ones_like(mask))
        empty = mix(ours, partner, torch.zeros_like(mask))

        for part, mine, theirs in zip(ours, full, empty, strict=True):
            assert torch.equal(mine, part)
            assert torch.equal(theirs, part[partner])

    def test_with_the_complement_changes_the_roles(self):
        ours, mask = sample(batch=2)
        other = Mixed(*(part.flip(0) for part in ours))
        swap = torch.tensor([1, 0])

        for one, two in zip(mix(ours, swap, mask), mix(other, swap, ~mask), strict=True):
            assert torch.equal(one, two)

    def test_gives_new_tensors_and_leaves_its_input(self):
        ours, mask = sample()
        before = Mixed(*(part.clone() for part in ours)), mask.clone()
        mixed = mix(ours, roll_pairs(3), mask)
        for part in mixed:
            part.zero_()

        assert all(torch.equal(a, b) for a, b in zip(ours, before[0], strict=True))
        assert torch.equal(mask, before[1])

    def test_lets_gradients_reach_only_what_is_seen(self):
        ours, mask = sample(batch=2)
        image = ours.image.requires_grad_()
        mix(ours, roll_pairs(2), mask).image.sum().backward()

        seen = mask.float() + (~mask).float().roll(1, 0)  # by oneself, by the one before
        assert torch.equal(image.grad, seen.expand_as(image))


class TestPaste:
    @pytest.mark.parametrize("shape", [(2, 3, 4), (2, 5, 3, 4)], ids=str)
    @pytest.mark.parametrize(
        "dtype", [torch.float32, torch.float16, torch.int64, torch.bool], ids=str
    )
    def test_keeps_ours_where_true(self, shape, dtype):
        ours, theirs = torch.ones(shape).to(dtype), torch.zeros(shape).to(dtype)
        mask = torch.rand(2, 1, 3, 4, generator=seeded(0)) < 0.5
        pasted = paste(ours, theirs, mask)

        assert pasted.dtype == dtype
        assert torch.equal(
            pasted.bool(), mask.squeeze(1) if len(shape) == 3 else mask.expand(shape)
        )
        assert torch.equal(pasted, paste(theirs, ours, ~mask))


class TestBlend:
    @few
    @given(st.integers(1, 4), side, side, seeds)
    def test_stays_between_the_two(self, batch, height, width, seed):
        g = seeded(seed)
        ours, theirs = torch.randn(2, batch, 3, height, width, generator=g, dtype=torch.float64)
        blended = blend(ours, theirs, torch.rand(batch, generator=g))

        assert (blended >= torch.minimum(ours, theirs) - 1e-12).all()
        assert (blended <= torch.maximum(ours, theirs) + 1e-12).all()

    def test_weighs_each_image_by_its_own_share(self):
        ours, theirs = torch.ones(3, 2, 1, 1), torch.full((3, 2, 1, 1), 5.0)
        blended = blend(ours, theirs, torch.tensor([0.0, 0.25, 1.0]))

        assert blended.flatten(1).tolist() == [[5, 5], [4, 4], [1, 1]]

    @few
    @given(st.integers(1, 4), seeds)
    def test_is_one_of_the_two_at_its_ends(self, batch, seed):
        ours, theirs = torch.randn(2, batch, 3, 4, 5, generator=seeded(seed))

        assert torch.equal(blend(ours, theirs, torch.zeros(batch)), theirs)
        assert torch.equal(blend(ours, theirs, torch.ones(batch)), ours)

    @few
    @given(st.integers(1, 4), st.floats(0.05, 0.5), seeds)
    def test_by_a_folded_share_resembles_the_partner_more(self, batch, cap, seed):
        # LUPI: the labeled image guides, the unlabeled one is what is seen
        g = seeded(seed)
        ours, theirs = torch.randn(2, batch, 3, 4, 5, generator=g)
        blended = blend(ours, theirs, beta_lambda(batch, cap=cap, generator=g))

        to_ours, to_theirs = ((blended - x).flatten(1).norm(dim=1) for x in (ours, theirs))
        assert (to_theirs <= to_ours + 1e-4).all()
        assert (to_theirs <= cap * (ours - theirs).flatten(1).norm(dim=1) + 1e-4).all()

    def test_of_probabilities_sums_to_one(self):
        ours, theirs = torch.randn(2, 3, 4, 2, 2, generator=seeded(0)).softmax(2)
        blended = blend(ours, theirs, torch.rand(3, generator=seeded(1)))

        torch.testing.assert_close(blended.sum(1), torch.ones(3, 2, 2))

    def test_is_undone_by_subtraction(self):
        # the decoupling identity: blend - lam * ours = (1 - lam) * theirs
        ours, theirs = torch.randn(2, 3, 4, 2, 2, generator=seeded(0), dtype=torch.float64)
        lam = torch.rand(3, generator=seeded(1), dtype=torch.float64)
        share = lam.view(3, 1, 1, 1)

        torch.testing.assert_close(
            blend(ours, theirs, lam) - share * ours, (1 - share) * theirs, atol=1e-10, rtol=0
        )

    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64], ids=str)
    def test_keeps_the_precision_of_the_images(self, dtype):
        ours, theirs = torch.zeros(2, 1, 3, 3, dtype=dtype), torch.ones(2, 1, 3, 3, dtype=dtype)
        blended = blend(ours, theirs, torch.full((2,), 0.25))

        assert blended.dtype == dtype
        assert (blended == 0.75).all()
        assert not ours.any()


class TestPairs:
    @pytest.mark.parametrize("batch", [2, 3, 8])
    def test_ring_is_the_next_one(self, batch):
        pairs = roll_pairs(batch)

        assert pairs.tolist() == [(i + 1) % batch for i in range(batch)]
        assert pairs.dtype == torch.int64
        images = torch.arange(batch)
        assert torch.equal(images[pairs], images.roll(-1, 0))

    def test_ring_of_few(self):
        assert roll_pairs(1).tolist() == [0]
        assert roll_pairs(0).tolist() == []

    @few
    @given(st.integers(2, 9), seeds)
    def test_permutation_never_pairs_an_image_with_itself(self, batch, seed):
        pairs = permutation_pairs(batch, generator=seeded(seed))

        assert sorted(pairs.tolist()) == list(range(batch))
        assert (pairs != torch.arange(batch)).all()

    def test_permutation_of_one(self):
        assert permutation_pairs(1, generator=seeded(0)).tolist() == [0]

    def test_permutation_draws_every_ring_equally_often(self):
        g = seeded(0)
        drawn = [tuple(permutation_pairs(4, generator=g).tolist()) for _ in range(1200)]
        rings = []
        for order in itertools.permutations(range(1, 4)):
            ring = (0, *order)
            following = dict(zip(ring, (*order, 0), strict=True))
            rings.append(tuple(following[i] for i in range(4)))

        assert set(drawn) == set(rings)
        assert stats.chisquare([drawn.count(ring) for ring in rings]).pvalue > 1e-3


class TestRandomCandidates:
    @few
    @given(st.integers(0, 12), st.integers(1, 6), seeds)
    def test_takes_none_more_often_than_it_must(self, batch, candidates, seed):
        drawn = random_candidates(batch, candidates, generator=seeded(seed))

        assert drawn.shape == (batch,)
        assert drawn.dtype == torch.int64
        counts = [drawn.tolist().count(c) for c in range(candidates)]
        assert sum(counts) == batch  # each is in range
        assert max(counts) <= math.ceil(batch / candidates)

    @few
    @given(st.integers(1, 4), st.integers(1, 6), seeds)
    def test_takes_each_equally_often_where_that_can_be(self, rounds, candidates, seed):
        drawn = random_candidates(rounds * candidates, candidates, generator=seeded(seed))

        assert sorted(drawn.tolist()) == sorted(rounds * list(range(candidates)))

    @few
    @given(st.integers(1, 6), st.integers(0, 6), seeds)
    def test_repeats_none_while_there_are_enough(self, batch, more, seed):
        drawn = random_candidates(batch, batch + more, generator=seeded(seed))

        assert len(set(drawn.tolist())) == batch

    def test_draws_every_permutation_equally_often(self):
        g = seeded(0)
        drawn = [tuple(random_candidates(3, 3, generator=g).tolist()) for _ in range(1200)]
        orders = list(itertools.permutations(range(3)))

        assert set(drawn) == set(orders)
        assert stats.chisquare([drawn.count(order) for order in orders]).pvalue > 1e-3

    @pytest.mark.parametrize(("batch", "candidates"), [(2, 5), (5, 3), (4, 4)])
    def test_offers_every_candidate_to_every_image(self, batch, candidates):
        g = seeded(0)
        drawn = [random_candidates(batch, candidates, generator=g).tolist() for _ in range(1000)]

        for of_image in zip(*drawn, strict=True):
            counts = [of_image.count(c) for c in range(candidates)]
            assert stats.chisquare(counts).pvalue > 1e-3


class TestMostSimilar:
    def test_finds_the_same_image(self):
        keys = torch.randn(6, 8, generator=seeded(0))

        assert most_similar(keys[[4, 0, 2]], keys).tolist() == [4, 0, 2]

    def test_agrees_with_the_loop(self):
        query = torch.randn(40, 6, generator=seeded(0))
        keys = torch.randn(20, 6, generator=seeded(1))
        expected = []
        for q in query.tolist():
            distances = [math.dist(q, key) for key in keys.tolist()]
            expected.append(distances.index(min(distances)))

        assert most_similar(query, keys).tolist() == expected

    def test_follows_a_permutation_of_the_candidates(self):
        query, keys = torch.randn(9, 4, generator=seeded(0)), torch.randn(5, 4, generator=seeded(1))
        order = torch.tensor([3, 0, 4, 1, 2])

        assert torch.equal(order[most_similar(query, keys[order])], most_similar(query, keys))

    def test_is_symmetric(self):
        ours, theirs = (
            torch.randn(8, 3, generator=seeded(0)),
            torch.randn(6, 3, generator=seeded(1)),
        )
        distance = ((ours.numpy()[:, None] - theirs.numpy()[None]) ** 2).sum(-1)
        i, j = np.unravel_index(distance.argmin(), distance.shape)

        assert most_similar(ours, theirs)[i] == j
        assert most_similar(theirs, ours)[j] == i

    def test_takes_the_first_of_equals(self):
        keys = torch.tensor([[2.0], [1.0], [-1.0], [1.0]])

        assert most_similar(torch.tensor([[0.0], [1.0]]), keys).tolist() == [1, 1]

    def test_passes_no_gradient(self):
        query = torch.randn(2, 3, generator=seeded(0), requires_grad=True)
        found = most_similar(query, torch.randn(4, 3, generator=seeded(1)))

        assert found.dtype == torch.int64
        assert not found.requires_grad


def most_similar_other(pooled):
    return most_similar(pooled, pooled, own=torch.arange(len(pooled)))


class TestMostSimilarOther:
    @few
    @given(st.integers(2, 9), st.integers(1, 4), seeds)
    def test_agrees_with_the_loop(self, batch, width, seed):
        # few values, so that some images are equal and some distances tie
        pooled = torch.randint(3, (batch, width), generator=seeded(seed)).float()
        before = pooled.clone()
        expected = []
        for i, query in enumerate(pooled.tolist()):
            nearest, at = math.inf, None
            for j, key in enumerate(pooled.tolist()):
                if j != i and math.dist(query, key) < nearest:
                    nearest, at = math.dist(query, key), j
            expected.append(at)

        assert most_similar_other(pooled).tolist() == expected
        assert torch.equal(pooled, before)

    def test_finds_the_twin_and_not_itself(self):
        pooled = torch.randn(3, 8, generator=seeded(0)).repeat(2, 1)

        assert most_similar_other(pooled).tolist() == [3, 4, 5, 0, 1, 2]

    @pytest.mark.parametrize("batch", [2, 3, 6])
    def test_of_equal_images_is_the_first_other_one(self, batch):
        pooled = torch.ones(batch, 4)

        assert most_similar_other(pooled).tolist() == [1] + [0] * (batch - 1)

    def test_lets_a_lone_one_take_itself(self):
        assert most_similar_other(torch.ones(1, 4)).tolist() == [0]

    def test_follows_the_order_of_the_batch(self):
        pooled, order = torch.randn(5, 4, generator=seeded(0)), torch.tensor([3, 0, 4, 1, 2])
        found = most_similar_other(pooled)
        moved = most_similar_other(pooled[order])

        assert torch.equal(order[moved], found[order])

    def test_excludes_only_the_own_key(self):
        query, keys = torch.zeros(2, 1), torch.tensor([[0.0], [1.0], [0.5], [2.0]])

        assert most_similar(query, keys, own=torch.tensor([0, 1])).tolist() == [2, 0]
        assert most_similar(query, keys, own=torch.tensor([3, 0])).tolist() == [0, 2]

    def test_passes_no_gradient(self):
        pooled = torch.randn(4, 3, generator=seeded(0), requires_grad=True)

        assert not most_similar_other(pooled).requires_grad


def folded_cdf(alpha, cap):
    """Distribution of min(lam, 1 - lam) below the cap, for lam from Beta(alpha, alpha)."""
    law = stats.beta(alpha, alpha)
    return lambda x: law.cdf(x) / law.cdf(cap)


class TestBetaLambda:
    @pytest.mark.parametrize("cap", [0.5, 0.3])
    def test_of_the_paper_is_uniform_below_its_cap(self, cap):
        lam = beta_lambda(5000, 1.0, cap, generator=seeded(0))

        assert lam.dtype == torch.float32
        assert lam.max() <= cap
        assert stats.kstest(lam.numpy(), stats.uniform(0, cap).cdf).pvalue > 1e-3

    @pytest.mark.parametrize(
        ("alpha", "cap"), [(1.0, 0.5), (1.0, 0.2), (2.0, 0.5), (2.0, 0.3), (0.3, 0.4), (0.1, 0.5)]
    )
    def test_rejects_shares_above_the_cap(self, alpha, cap):
        lam = beta_lambda(5000, alpha, cap, generator=seeded(0)).double()

        assert lam.min() >= 0
        assert lam.max() <= cap + 1e-7
        assert stats.kstest(lam.numpy(), folded_cdf(alpha, cap)).pvalue > 1e-3

    @pytest.mark.parametrize("alpha", [1.0, 2.0])
    def test_rescales(self, alpha):
        lam = beta_lambda(5000, alpha, 0.2, "rescale", generator=seeded(0)).double()

        assert stats.kstest(lam.numpy() / 0.4, folded_cdf(alpha, 0.5)).pvalue > 1e-3

    def test_clips(self):
        lam = beta_lambda(5000, 2.0, 0.3, "clip", generator=seeded(0)).double()
        share = 2 * (stats.beta(2, 2).cdf(0.5) - stats.beta(2, 2).cdf(0.3))

        assert lam.max() == pytest.approx(0.3)
        at_cap = lam > 0.3 - 1e-6
        assert stats.binomtest(int(at_cap.sum()), 5000, share).pvalue > 1e-3
        assert stats.kstest(lam[~at_cap].numpy(), folded_cdf(2.0, 0.3)).pvalue > 1e-3

    @pytest.mark.parametrize("alpha", [0.1, 1.0, 3.0])
    def test_unfolded_is_the_beta_law(self, alpha):
        lam = beta_lambda(5000, alpha, 0.1, folded=False, generator=seeded(0)).double()
        low = lam[lam < 0.5]

        assert stats.binomtest(len(low), 5000).pvalue > 1e-3
        assert stats.kstest(low.numpy(), folded_cdf(alpha, 0.5)).pvalue > 1e-3
        # single precision is too coarse near 1 for a test of the whole law at a small alpha
        high = lam[lam > 0.5]
        assert stats.ks_2samp(low.clamp_min(1e-3), (1 - high).clamp_min(1e-3)).pvalue > 1e-3

    @few
    @given(
        st.integers(1, 5),
        st.floats(0.01, 1000),
        st.floats(0.01, 0.5),
        st.sampled_from(["reject", "rescale", "clip"]),
        seeds,
    )
    def test_stays_in_its_range_for_any_law(self, batch, alpha, cap, how, seed):
        lam = beta_lambda(batch, alpha, cap, how, generator=seeded(seed))

        assert lam.shape == (batch,)
        assert ((lam >= 0) & (lam <= cap + 1e-7)).all()

    def test_is_drawn_per_image(self):
        assert len(beta_lambda(100, generator=seeded(0)).unique()) == 100

    @pytest.mark.parametrize(("alpha", "cap"), [(0.0, 0.5), (-1.0, 0.5), (1.0, 0.0), (1.0, 0.6)])
    def test_names_what_is_out_of_range(self, alpha, cap):
        with pytest.raises(ValueError, match=r"must be positive, got|must lie in"):
            beta_lambda(2, alpha, cap)


DRAWS = {
    "permutation": lambda g: permutation_pairs(50, generator=g),
    "candidates": lambda g: random_candidates(50, 20, generator=g),
    "uniform": lambda g: beta_lambda(50, generator=g),
    "beta": lambda g: beta_lambda(50, 2.0, 0.3, generator=g),
    "mixup": lambda g: beta_lambda(50, 0.5, folded=False, generator=g),
}


@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS.keys())
def test_draws_depend_on_the_generator_alone(draw):
    before = torch.get_rng_state()

    assert torch.equal(draw(seeded(3)), draw(seeded(3)))
    assert not torch.equal(draw(seeded(3)), draw(seeded(4)))
    assert torch.equal(torch.get_rng_state(), before)


class TestLabeledSamples:
    @staticmethod
    def labeled(count):
        number = torch.arange(float(count)).view(count, 1, 1)
        label = number.long().expand(count, 2, 3).clone()
        label[:, 0, 0] = IGNORE
        return Labeled(number[:, None].expand(count, 3, 2, 3), label)

    @pytest.mark.parametrize(
        ("count", "chosen"), [(4, [0, 1, 2, 3]), (2, [0, 0, 1, 1]), (6, [0, 1, 3, 4]), (1, [0] * 4)]
    )
    def test_spreads_the_labeled_images_over_the_samples(self, count, chosen):
        ours = Mixed(*sample(4, 2, 3)[0])
        ours.valid[:] = True
        ours.valid[3] = False
        found = labeled_samples(self.labeled(count), ours)

        assert found.image[:, 0, 0, 0].tolist() == chosen
        assert found.label[:, 1, 1].tolist() == chosen
        assert (found.conf == 1).all()
        assert not found.valid[:, 0, 0].any()  # IGNORE
        assert found.valid[:3, 1].all()
        assert not found.valid[3].any()  # nothing of this sample is valid

    def test_of_soft_samples_are_soft(self):
        ours = Mixed(*sample(2, 2, 3, soft=True)[0])
        label = labeled_samples(self.labeled(2), ours).label

        assert label.shape == ours.label.shape
        assert label[1, :, 1, 1].tolist() == [0, 1]
        assert not label[:, :, 0, 0].any()
