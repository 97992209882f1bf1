import itertools
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import gradcheck

from ssseg.losses import (
    class_presence_loss,
    confidence_weight,
    cross_entropy,
    gaussian_rampup,
    pixel_cross_entropy,
    pixel_sigmoid_focal,
    pixel_soft_cross_entropy,
    pixel_squared_error,
    weighted_mean,
)
from ssseg.types import IGNORE

few = settings(max_examples=30, deadline=None)
DENOMINATORS = ["valid", "all", "trusted"]
MODES = ["image", "batch", "pixel", "none"]
seeds = st.integers(0, 2**31)


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def logits_of(probs):
    """Logits (1, C, H, W) of nested lists of probabilities (H, W, C)."""
    return torch.tensor(probs, dtype=torch.float64).log().permute(2, 0, 1)[None]


def scores(batch=2, num_classes=3, height=3, width=4, seed=0):
    """Random logits that want a gradient."""
    shape = (batch, num_classes, height, width)
    drawn = torch.randn(shape, generator=seeded(seed), dtype=torch.float64)
    return drawn.requires_grad_()


def labels(batch=2, num_classes=3, height=3, width=4, seed=0):
    label = torch.randint(num_classes, (batch, height, width), generator=seeded(seed))
    label[0, 0] = IGNORE
    return label


def trust_map(valid, seed=0):
    return (torch.rand(valid.shape, generator=seeded(seed)) < 0.6).double()


def padded(batch=2, height=3, width=4):
    """Validity of images of different sizes."""
    valid = torch.ones(batch, height, width, dtype=torch.bool)
    valid[0, :, 2:] = False
    return valid


# two by two pixels, two classes
PROBS = [[[0.5, 0.5], [0.25, 0.75]], [[0.8, 0.2], [0.1, 0.9]]]
LABEL = torch.tensor([[[0, 1], [IGNORE, 0]]])


class TestCrossEntropy:
    def test_of_a_small_image(self):
        expected = -(math.log(0.5) + math.log(0.75) + math.log(0.1)) / 3

        assert cross_entropy(logits_of(PROBS), LABEL).item() == pytest.approx(expected)

    def test_counts_pixels_not_images(self):
        logits, label = scores(), labels()
        kept = label != IGNORE
        picked = logits.log_softmax(1).permute(0, 2, 3, 1)[kept]
        expected = -picked[torch.arange(len(picked)), label[kept]].mean()

        torch.testing.assert_close(cross_entropy(logits, label), expected)

    @pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
    def test_of_nothing_is_zero_with_a_gradient(self, dtype):
        logits = torch.randn(2, 3, 4, 4, generator=seeded(0)).to(dtype).requires_grad_()
        loss = cross_entropy(logits, torch.full((2, 4, 4), IGNORE))
        loss.backward()

        assert loss.item() == 0
        assert torch.equal(logits.grad, torch.zeros_like(logits))

    def test_has_the_right_gradient_and_none_where_ignored(self):
        logits, label = scores(), labels()
        assert gradcheck(lambda x: cross_entropy(x, label), logits)

        cross_entropy(logits, label).backward()
        moved = logits.grad.abs().amax(1) > 0
        assert torch.equal(moved, label != IGNORE)

    def test_of_a_sure_and_wrong_answer_is_finite(self):
        logits = torch.tensor([1e4, -1e4]).view(1, 2, 1, 1)

        assert cross_entropy(logits, torch.tensor([[[1]]])).item() == pytest.approx(2e4)


class TestClassPresenceLoss:
    @few
    @given(st.integers(1, 4), st.integers(1, 5), st.integers(1, 3), seeds)
    def test_agrees_with_the_loop(self, batch, num_classes, side, seed):
        g = seeded(seed)
        logits = torch.randn(batch, num_classes, generator=g, dtype=torch.float64)
        # some images without any known pixel
        label = torch.randint(num_classes + 1, (batch, side, side), generator=g)
        label[label == num_classes] = IGNORE
        images = []
        for answers, image in zip(logits.tolist(), label.flatten(1).tolist(), strict=True):
            errors = []
            for c, answer in enumerate(answers):
                there = 1 / (1 + math.exp(-answer))
                errors.append(-math.log(there if c in image else 1 - there))
            if any(pixel != IGNORE for pixel in image):
                images.append(sum(errors) / num_classes)

        expected = sum(images) / max(1, len(images))
        assert class_presence_loss(logits, label).item() == pytest.approx(expected, abs=1e-12)

    def test_of_a_small_image(self):
        logits = torch.tensor([[0.0, math.log(3), -math.log(4)]])  # 1/2, 3/4 and 1/5
        label = torch.tensor([[[0, 0], [IGNORE, 2]]])
        expected = -(math.log(1 / 2) + math.log(1 / 4) + math.log(1 / 5)) / 3

        assert class_presence_loss(logits, label).item() == pytest.approx(expected)

    def test_asks_whether_and_not_how_often_or_where(self):
        logits = torch.randn(1, 4, generator=seeded(0))
        once = torch.full((1, 3, 3), 2)
        once[0, 0, 0] = 1
        often = torch.where(torch.rand(1, 3, 3, generator=seeded(1)) < 0.5, 1, 2)

        assert len(often.unique()) == 2
        assert torch.equal(class_presence_loss(logits, once), class_presence_loss(logits, often))

    def test_does_not_count_an_image_without_labels(self):
        logits = torch.randn(3, 4, generator=seeded(0), dtype=torch.float64, requires_grad=True)
        label = torch.randint(4, (3, 5, 5), generator=seeded(1))
        label[1] = IGNORE
        loss = class_presence_loss(logits, label)
        loss.backward()

        others = [0, 2]
        torch.testing.assert_close(loss, class_presence_loss(logits[others], label[others]))
        assert (logits.grad.abs().amax(1) > 0).tolist() == [True, False, True]

    @pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
    def test_of_nothing_is_zero_with_a_gradient(self, dtype):
        logits = torch.randn(2, 3, generator=seeded(0)).to(dtype).requires_grad_()
        loss = class_presence_loss(logits, torch.full((2, 4, 4), IGNORE))
        loss.backward()

        assert loss.item() == 0
        assert torch.equal(logits.grad, torch.zeros_like(logits))

    def test_has_the_right_gradient(self):
        logits = torch.randn(2, 3, generator=seeded(0), dtype=torch.float64, requires_grad=True)
        label = labels()

        assert gradcheck(lambda x: class_presence_loss(x, label), logits)

    def test_of_sure_answers_is_finite(self):
        label = torch.zeros(1, 2, 2, dtype=torch.int64)
        right, wrong = torch.tensor([[1e4, -1e4]]), torch.tensor([[-1e4, 1e4]])

        assert class_presence_loss(right, label).item() == 0
        assert class_presence_loss(wrong, label).item() == pytest.approx(1e4)


class TestPixelCrossEntropy:
    def test_of_a_small_image(self):
        loss = pixel_cross_entropy(logits_of(PROBS), LABEL)
        expected = [[[math.log(2), -math.log(0.75)], [0, math.log(10)]]]

        torch.testing.assert_close(loss, torch.tensor(expected, dtype=torch.float64))

    def test_sums_to_the_mean_over_what_is_known(self):
        logits, label = scores(), labels()
        known = label != IGNORE
        total = pixel_cross_entropy(logits, label).sum() / known.sum()

        torch.testing.assert_close(total, cross_entropy(logits, label))

    def test_has_the_right_gradient(self):
        label = labels()

        assert gradcheck(lambda x: pixel_cross_entropy(x, label), scores())


class TestPixelSquaredError:
    def test_of_a_small_image(self):
        target = torch.tensor([[0.5, 0.0], [1.0, 0.1]], dtype=torch.float64)
        target = torch.stack([target, 1 - target])[None]
        expected = torch.tensor([[[0, 2 * 0.25**2], [2 * 0.2**2, 0]]], dtype=torch.float64)
        logits = logits_of(PROBS)

        torch.testing.assert_close(pixel_squared_error(logits, target), expected)
        torch.testing.assert_close(pixel_squared_error(logits, target, "mean"), expected / 2)

    def test_sum_is_the_mean_times_the_number_of_classes(self):
        logits, target = scores(num_classes=5), scores(num_classes=5, seed=1).softmax(1)
        total, mean = (pixel_squared_error(logits, target, how) for how in ("sum", "mean"))

        assert total.shape == (2, 3, 4)
        torch.testing.assert_close(total, 5 * mean)

    def test_vanishes_only_at_the_target(self):
        logits = scores()

        assert pixel_squared_error(logits, logits.softmax(1)).abs().max() < 1e-15
        assert (pixel_squared_error(logits, scores(seed=1).softmax(1)) > 0).all()
        # a pixel that is sure of the wrong class costs 2, the largest value there is
        sure = torch.tensor([1e4, -1e4]).view(1, 2, 1, 1)
        wrong = torch.tensor([0.0, 1.0]).view(1, 2, 1, 1)
        assert pixel_squared_error(sure, wrong).item() == 2

    @pytest.mark.parametrize("classes", ["sum", "mean"])
    def test_has_the_right_gradient(self, classes):
        target = scores(seed=1).detach().softmax(1)

        assert gradcheck(lambda x: pixel_squared_error(x, target, classes), scores())


@pytest.mark.parametrize("loss", [pixel_squared_error, pixel_soft_cross_entropy])
def test_class_ids_are_no_probabilities(loss):
    logits = scores(batch=3, num_classes=3)
    with pytest.raises(ValueError, match="expected that of logits"):
        loss(logits, torch.zeros(3, 3, 4, dtype=torch.int64))


class TestPixelSigmoidFocal:
    @few
    @given(
        st.integers(1, 3),
        st.integers(1, 4),
        st.sampled_from([0.0, 0.5, 2.0]),
        st.floats(0, 1),
        seeds,
    )
    def test_agrees_with_the_loop(self, batch, num_classes, gamma, alpha, seed):
        logits = scores(batch, num_classes, seed=seed).detach() * 3
        label = torch.randint(num_classes, (batch, 3, 4), generator=seeded(seed))
        loss = pixel_sigmoid_focal(logits, label, gamma, alpha)

        assert loss.shape == label.shape
        for b, y, x in np.ndindex(batch, 3, 4):
            terms = []
            for c, score in enumerate(logits[b, :, y, x].tolist()):
                true = c == int(label[b, y, x])
                p = 1 / (1 + math.exp(-score if true else score))
                a = alpha if true else 1 - alpha
                terms.append(-a * (1 - p) ** gamma * math.log(p))
            assert loss[b, y, x].item() == pytest.approx(sum(terms) / num_classes, abs=1e-12)

    def test_without_focus_is_half_the_binary_cross_entropy(self):
        logits, label = scores(), labels().clamp_max(2)
        truth = F.one_hot(label, 3).movedim(-1, 1).double()
        expected = F.binary_cross_entropy_with_logits(logits, truth, reduction="none").mean(1) / 2

        torch.testing.assert_close(pixel_sigmoid_focal(logits, label, 0.0, 0.5), expected)

    def test_is_that_of_the_released_code_by_default(self):
        logits, label = scores(), labels().clamp_max(2)

        torch.testing.assert_close(
            pixel_sigmoid_focal(logits, label), pixel_sigmoid_focal(logits, label, 0.5, 0.5)
        )

    def test_with_more_focus_forgives_easy_pixels_more(self):
        logits = torch.tensor([[2.0, -1.0], [-2.0, 1.0]]).view(1, 2, 1, 2)  # right, then wrong
        label = torch.zeros(1, 1, 2, dtype=torch.int64)
        plain, focal = (pixel_sigmoid_focal(logits, label, gamma)[0, 0] for gamma in (0.0, 2.0))

        kept = focal / plain
        assert kept[0] < 0.1
        assert 0.5 < kept[1] < 1

    def test_weighs_the_true_class_by_alpha(self):
        logits, label = scores(), labels().clamp_max(2)
        true, others = (pixel_sigmoid_focal(logits, label, alpha=alpha) for alpha in (1.0, 0.0))
        grad = torch.autograd.grad(true.sum(), logits)[0]

        assert torch.equal(grad != 0, F.one_hot(label, 3).movedim(-1, 1).bool())
        mixed = pixel_sigmoid_focal(logits, label, alpha=0.3)
        torch.testing.assert_close(mixed, 0.3 * true + 0.7 * others)

    @pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
    def test_has_the_right_gradient(self, gamma):
        label = labels().clamp_max(2)

        assert gradcheck(lambda x: pixel_sigmoid_focal(x, label, gamma), scores())

    @pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
    @pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0])
    def test_of_sure_answers_has_a_finite_gradient(self, gamma, dtype):
        sure = torch.tensor([[20.0, -20.0, 90.0], [-20.0, 20.0, -90.0]], dtype=dtype)
        sure = sure.view(1, 2, 1, 3).requires_grad_()
        loss = pixel_sigmoid_focal(sure, torch.zeros(1, 1, 3, dtype=torch.int64), gamma)
        loss.sum().backward()

        assert loss[0, 0].tolist() == pytest.approx([0, 10, 0], abs=1e-3)
        assert sure.grad.isfinite().all()
        # the wrong answer still gets its gradient, which is that of log p
        torch.testing.assert_close(
            sure.grad[0, :, 0, 1], torch.tensor([-0.25, 0.25], dtype=dtype), atol=1e-2, rtol=0
        )


class TestConfidenceWeight:
    # one image of four valid pixels, one of two
    trusted = torch.tensor([[[1.0, 1.0], [1.0, 0.0]], [[1.0, 0.0], [1.0, 1.0]]])
    valid = torch.tensor([[[True, True], [True, True]], [[True, True], [False, False]]])

    @pytest.mark.parametrize(
        ("mode", "expected"),
        [
            ("image", [[[3 / 4] * 2] * 2, [[1 / 2] * 2] * 2]),
            ("batch", [[[4 / 6] * 2] * 2] * 2),
            ("pixel", trusted.tolist()),
            ("none", [[[1.0] * 2] * 2] * 2),
        ],
    )
    def test_of_small_images(self, mode, expected):
        weight = confidence_weight(self.trusted, self.valid, mode)

        torch.testing.assert_close(weight, torch.tensor(expected))

    @pytest.mark.parametrize("mode", MODES)
    @few
    @given(st.integers(0, 2**31), st.floats(0, 1), st.floats(0, 1))
    def test_lies_between_zero_and_one(self, mode, seed, share, covered):
        g = seeded(seed)
        trusted = (torch.rand(3, 4, 5, generator=g) < share).float()
        valid = torch.rand(3, 4, 5, generator=g) < covered
        weight = confidence_weight(trusted, valid, mode)

        assert weight.shape == trusted.shape
        assert ((weight >= 0) & (weight <= 1)).all()

    @pytest.mark.parametrize("mode", MODES)
    def test_of_nothing_valid_is_finite(self, mode):
        weight = confidence_weight(self.trusted, torch.zeros_like(self.valid), mode)

        assert weight.isfinite().all()

    @pytest.mark.parametrize("mode", ["image", "batch", "pixel"])
    def test_follows_the_threshold_to_its_ends(self, mode):
        conf = scores(num_classes=4).softmax(1).amax(1)
        valid = padded()
        low, high = (confidence_weight((conf >= t).float(), valid, mode) for t in (1 / 4, 1.01))

        assert (low == 1).all()  # no largest of four probabilities is below 1 / 4
        assert (high == 0).all()

    def test_of_images_follows_their_order(self):
        valid = padded(4)
        trusted, order = trust_map(valid), torch.tensor([2, 0, 3, 1])
        weight = confidence_weight(trusted, valid, "image")

        assert len(weight.unique()) > 1
        assert torch.equal(confidence_weight(trusted[order], valid[order], "image"), weight[order])

    def test_of_a_batch_is_the_mean_of_equally_large_images(self):
        valid = torch.ones(4, 3, 4, dtype=torch.bool)
        trusted = trust_map(valid)
        batch = confidence_weight(trusted, valid, "batch")

        assert len(batch.unique()) == 1
        torch.testing.assert_close(
            batch[0, 0, 0], confidence_weight(trusted, valid, "image").mean()
        )

    def test_of_a_batch_weighs_images_by_their_valid_pixels(self):
        valid = padded(4)
        trusted = trust_map(valid)
        image = confidence_weight(trusted, valid, "image")[:, 0, 0]
        pixels = valid.sum((1, 2))
        batch = confidence_weight(trusted, valid, "batch")[0, 0, 0]

        torch.testing.assert_close(batch, (image * pixels).sum() / pixels.sum())

    @pytest.mark.parametrize("mode", ["image", "batch"])
    def test_ignores_trust_in_padding(self, mode):
        valid = padded()
        trusted = trust_map(valid)
        other = torch.where(valid, trusted, 1 - trusted)

        assert torch.equal(
            confidence_weight(trusted, valid, mode), confidence_weight(other, valid, mode)
        )

    def test_after_mixing_is_that_of_the_mixed_indicators(self):
        trusted = trust_map(torch.ones(2, 6, 6, dtype=torch.bool))
        mask = torch.rand(2, 6, 6, generator=seeded(1)) < 0.5
        everywhere = torch.ones_like(mask)
        mixed = torch.where(mask, trusted, trusted.flip(0))
        weight = confidence_weight(mixed, everywhere, "image")

        parts = mask * trusted + ~mask * trusted.flip(0)
        torch.testing.assert_close(weight[:, 0, 0], parts.mean((1, 2)))


class TestWeightedMean:
    # three valid pixels of four
    loss = torch.tensor([[[1.0, 2.0], [4.0, 100.0]]])
    weight = torch.tensor([[[1.0, 0.5], [1.0, 1.0]]])
    valid = torch.tensor([[[True, True], [True, False]]])

    @pytest.mark.parametrize(
        ("denominator", "expected"), [("valid", 6 / 3), ("all", 6 / 4), ("trusted", 6 / 2.5)]
    )
    def test_of_a_small_image(self, denominator, expected):
        mean = weighted_mean(self.loss, self.weight, self.valid, denominator)

        assert mean.item() == pytest.approx(expected)

    @pytest.mark.parametrize("denominator", DENOMINATORS)
    def test_with_weight_one_is_the_plain_mean(self, denominator):
        loss = torch.rand(2, 5, 6, generator=seeded(0))
        ones = torch.ones_like(loss)

        torch.testing.assert_close(weighted_mean(loss, ones, ones.bool(), denominator), loss.mean())

    def test_with_weight_one_and_labels_is_the_cross_entropy(self):
        logits, label = scores(), labels()
        loss = pixel_cross_entropy(logits, label)
        mean = weighted_mean(loss, torch.ones_like(loss), label != IGNORE)

        torch.testing.assert_close(mean, cross_entropy(logits, label))

    @pytest.mark.parametrize("denominator", DENOMINATORS)
    def test_of_nothing_is_zero_with_a_gradient(self, denominator):
        loss = self.loss.clone().requires_grad_()
        mean = weighted_mean(loss, self.weight, torch.zeros_like(self.valid), denominator)
        mean.backward()

        assert mean.item() == 0
        assert torch.equal(loss.grad, torch.zeros_like(loss))

    @pytest.mark.parametrize("denominator", DENOMINATORS)
    def test_without_any_trust_is_zero_with_a_gradient(self, denominator):
        loss = self.loss.clone().requires_grad_()
        mean = weighted_mean(loss, torch.zeros_like(loss), self.valid, denominator)
        mean.backward()

        assert mean.item() == 0
        assert torch.equal(loss.grad, torch.zeros_like(loss))

    @pytest.mark.parametrize("denominator", DENOMINATORS)
    def test_is_silent_on_padding(self, denominator):
        logits, valid = scores(), padded()
        target = scores(seed=1).detach().softmax(1)
        weight = torch.ones_like(valid, dtype=torch.float64)

        def mean(x):
            return weighted_mean(pixel_squared_error(x, target), weight, valid, denominator)

        assert gradcheck(mean, logits)
        mean(logits).backward()
        assert torch.equal(logits.grad.abs().amax(1) > 0, valid)

    def test_scales_with_the_weight_unless_the_weight_counts(self):
        loss = torch.rand(2, 5, 6, generator=seeded(0))
        ones, valid = torch.ones_like(loss), torch.ones(2, 5, 6, dtype=torch.bool)
        for denominator, factor in (("valid", 0.25), ("all", 0.25), ("trusted", 1.0)):
            full, less = (weighted_mean(loss, w * ones, valid, denominator) for w in (1, 0.25))
            torch.testing.assert_close(less, factor * full)

    def test_of_trusted_pixels_is_their_mean(self):
        loss = torch.rand(2, 5, 6, generator=seeded(0))
        valid = padded(2, 5, 6)
        trusted = trust_map(valid).float()
        mean = weighted_mean(loss, confidence_weight(trusted, valid, "pixel"), valid, "trusted")

        torch.testing.assert_close(mean, loss[valid & trusted.bool()].mean())

    def test_does_not_change_its_input(self):
        before = [part.clone() for part in (self.loss, self.weight, self.valid)]
        weighted_mean(self.loss, self.weight, self.valid)

        for part, old in zip((self.loss, self.weight, self.valid), before, strict=True):
            assert torch.equal(part, old)


class TestGaussianRampup:
    def test_starts_small_and_ends_at_one(self):
        assert gaussian_rampup(0, 100) == pytest.approx(math.exp(-5))
        assert gaussian_rampup(50, 100) == pytest.approx(math.exp(-1.25))
        assert gaussian_rampup(100, 100) == 1
        assert gaussian_rampup(1000, 100) == 1
        assert gaussian_rampup(-3, 100) == pytest.approx(math.exp(-5))

    @pytest.mark.parametrize("length", [0, -1])
    def test_of_no_length_is_over(self, length):
        assert gaussian_rampup(0, length) == 1

    def test_only_grows(self):
        values = [gaussian_rampup(step, 40) for step in range(41)]

        assert all(a < b for a, b in itertools.pairwise(values))
