import colorsys
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from ssseg.ops import color_jitter, gaussian_blur
from ssseg.ops.photometric import blur_matrix

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
PLAIN = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}
few = settings(max_examples=30, deadline=None)


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def photos(batch=4, height=9, width=7, seed=0):
    return torch.rand(batch, 3, height, width, generator=seeded(seed))


def normalized(image):
    return (image - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)


def denormalized(image):
    return image * torch.tensor(STD).view(3, 1, 1) + torch.tensor(MEAN).view(3, 1, 1)


class TestBlur:
    @few
    @given(st.integers(1, 40), st.floats(1e-3, 30), st.integers(1, 130))
    def test_weights_sum_to_one(self, length, sigma, extent):
        matrix = blur_matrix(length, torch.tensor([sigma, 1.0]), extent)

        assert matrix.shape == (2, length, length)
        assert (matrix >= 0).all()
        torch.testing.assert_close(matrix.sum(2), torch.ones(2, length))

    @pytest.mark.parametrize("size", [(1, 1), (2, 3), (9, 40), (33, 17)], ids=str)
    def test_agrees_with_scipy(self, size):
        image = torch.rand(3, 2, *size, generator=seeded(0))
        sigma = torch.tensor([0.15, 1.0, 4.0])
        blurred = gaussian_blur(image, sigma)

        for b, c in np.ndindex(3, 2):
            scale = float(sigma[b])
            expected = gaussian_filter(image[b, c], scale, mode="reflect", truncate=16 / scale)
            np.testing.assert_allclose(blurred[b, c], expected, atol=1e-5)
            shorter = gaussian_filter(image[b, c], scale, mode="reflect")  # reaches 4 sigma
            np.testing.assert_allclose(blurred[b, c], shorter, atol=1e-4)

    def test_leaves_constant_images(self):
        image = torch.tensor([0.2, 0.7]).view(2, 1, 1, 1).expand(2, 3, 6, 11)

        torch.testing.assert_close(gaussian_blur(image, torch.tensor([0.5, 3.0])), image)

    def test_with_next_to_no_sigma_is_the_identity(self):
        image = photos()

        assert torch.equal(gaussian_blur(image, torch.full((4,), 1e-3)), image)

    def test_smooths_more_with_a_larger_sigma(self):
        image = photos(1, 20, 20).expand(4, 3, 20, 20)
        spread = gaussian_blur(image, torch.tensor([0.5, 1.0, 2.0, 4.0])).std((1, 2, 3))

        assert (spread.diff() < 0).all()

    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64], ids=str)
    def test_keeps_the_precision_of_the_images(self, dtype):
        image = photos().to(dtype)
        blurred = gaussian_blur(image, torch.full((4,), 1.5))

        assert blurred.dtype == dtype
        exact = gaussian_blur(photos(), torch.full((4,), 1.5))
        torch.testing.assert_close(blurred.float(), exact, atol=2e-2, rtol=0)

    def test_does_not_change_its_input(self):
        image = photos()
        gaussian_blur(image, torch.full((4,), 2.0))

        assert torch.equal(image, photos())


class TestColorJitter:
    @pytest.mark.parametrize("norm", [PLAIN, {"mean": MEAN, "std": STD}], ids=["plain", "imagenet"])
    def test_of_no_strength_is_the_identity(self, norm):
        image = photos() if norm is PLAIN else normalized(photos())
        jittered = color_jitter(image, 0.0, **norm, generator=seeded(0))

        torch.testing.assert_close(jittered, image, atol=1e-5, rtol=0)

    @pytest.mark.parametrize("channels", [1, 2, 4])
    def test_leaves_images_without_colors(self, channels):
        image = torch.rand(2, channels, 5, 6, generator=seeded(0))
        norm = {"mean": (0.5,) * channels, "std": (0.2,) * channels}

        assert torch.equal(color_jitter(image, 1.0, **norm, generator=seeded(0)), image)

    @few
    @given(st.floats(0, 1), st.integers(0, 2**31))
    def test_stays_in_the_range_of_an_image(self, strength, seed):
        image = normalized(photos(seed=seed))
        jittered = color_jitter(image, strength, mean=MEAN, std=STD, generator=seeded(seed))

        assert jittered.shape == image.shape
        assert (denormalized(jittered) >= -1e-5).all()
        assert (denormalized(jittered) <= 1 + 1e-5).all()

    def test_leaves_floats_of_another_unit_alone(self):
        metres = 300 * photos() - 50
        norm = {"mean": (100.0, 90.0, 80.0), "std": (80.0, 85.0, 90.0)}
        image = torch.cat((metres[:1], photos()[:1], metres[1:]))
        spread = torch.tensor(norm["std"]).view(3, 1, 1)
        center = torch.tensor(norm["mean"]).view(3, 1, 1)
        normal = (image - center) / spread
        jittered = color_jitter(normal, 0.25, **norm, generator=seeded(0))

        assert torch.equal(jittered[0], normal[0])
        assert torch.equal(jittered[2:], normal[2:])
        assert not torch.equal(jittered[1], normal[1])

    def test_keeps_gray_images_gray(self):
        gray = photos()[:, :1].expand(-1, 3, -1, -1)
        jittered = color_jitter(gray, 0.5, **PLAIN, generator=seeded(0))

        assert (jittered.amax(1) - jittered.amin(1)).max() < 1e-5
        assert not torch.allclose(jittered, gray, atol=0.01)

    def test_changes_colors(self):
        image = 0.4 + 0.2 * photos(200, 2, 2)  # far from the ends, where nothing is clipped
        jittered = color_jitter(image, 0.25, **PLAIN, generator=seeded(0))
        angle = [
            2 * math.pi * (hue(after) - hue(before))
            for before, after in zip(image, jittered, strict=True)
        ]

        # both directions, and up to a quarter of a circle (the chroma plane is not quite HSV's)
        turns = np.angle(np.exp(1j * np.array(angle)))
        assert turns.min() < -math.pi / 4
        assert turns.max() > math.pi / 4
        assert np.abs(turns).max() < 0.8 * math.pi

    def test_draws_brightness_up_to_its_strength(self):
        white = torch.full((500, 3, 2, 2), 0.5)
        level = color_jitter(white, 0.4, **PLAIN, generator=seeded(0)).mean((1, 2, 3)) / 0.5

        # without contrast or color in the image, brightness alone is left
        assert 0.6 - 1e-4 < level.min() < 0.62
        assert 1.38 < level.max() < 1.4 + 1e-4
        assert abs(level.mean() - 1) < 0.05

    def test_agrees_with_the_color_models_of_python(self):
        image = 0.35 + 0.3 * photos(5)  # nothing is clipped
        draws = (2 * torch.rand(4, 5, generator=seeded(3)) - 1).numpy()
        jittered = color_jitter(image, 0.2, **PLAIN, generator=seeded(3))

        for b, (brightness, contrast, saturation, turn) in enumerate(draws.T):
            expected = np.empty((3, 9, 7))
            for y, x in np.ndindex(9, 7):
                luma, i, q = colorsys.rgb_to_yiq(*image[b, :, y, x].tolist())
                chroma = complex(i, q) * (1 + 0.2 * saturation) * np.exp(2j * np.pi * 0.2 * turn)
                rgb = colorsys.yiq_to_rgb(luma, chroma.real, chroma.imag)
                expected[:, y, x] = (1 + 0.2 * brightness) * np.array(rgb)
            level = expected.mean()
            expected = level + (1 + 0.2 * contrast) * (expected - level)
            # Python rounds the coefficients of the color model to two digits
            np.testing.assert_allclose(jittered[b], expected, atol=0.01)

    def test_draws_for_every_image(self):
        one = photos(1).expand(4, 3, 9, 7)
        jittered = color_jitter(one, 0.25, **PLAIN, generator=seeded(0))

        for a in range(4):
            for b in range(a):
                assert not torch.allclose(jittered[a], jittered[b], atol=1e-3)

    def test_does_not_look_at_the_other_images(self):
        image = photos()
        changed = image.clone()
        changed[1:] = 0
        first = color_jitter(image, 0.25, **PLAIN, generator=seeded(0))
        second = color_jitter(changed, 0.25, **PLAIN, generator=seeded(0))

        assert torch.equal(first[0], second[0])

    def test_depends_on_the_generator_alone(self):
        before = torch.get_rng_state()
        first, again, other = (
            color_jitter(photos(), **PLAIN, generator=seeded(seed)) for seed in (1, 1, 2)
        )

        assert torch.equal(first, again)
        assert not torch.equal(first, other)
        assert torch.equal(torch.get_rng_state(), before)

    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
    def test_keeps_the_precision_of_the_images(self, dtype):
        image = photos()
        jittered = color_jitter(image.to(dtype), **PLAIN, generator=seeded(0))

        assert jittered.dtype == dtype
        exact = color_jitter(image, **PLAIN, generator=seeded(0))
        torch.testing.assert_close(jittered.float(), exact, atol=2e-2, rtol=0)

    def test_does_not_change_its_input(self):
        image = photos()
        color_jitter(image, **PLAIN, generator=seeded(0))

        assert torch.equal(image, photos())


def hue(image):
    """Hue in [0, 1) of the mean color."""
    return colorsys.rgb_to_hsv(*image.mean((1, 2)).tolist())[0]


def test_autocast_does_not_quantise_colors():
    image = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        jittered = color_jitter(image, 0.0, mean=(0.0,) * 3, std=(1.0,) * 3)
        blurred = gaussian_blur(image, torch.full((2,), 1e-3))
    assert blurred.dtype == torch.float32
    torch.testing.assert_close(jittered, image, rtol=0, atol=1e-5)
    torch.testing.assert_close(blurred, image, rtol=0, atol=1e-5)
