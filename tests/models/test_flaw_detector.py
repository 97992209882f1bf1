import pytest
import torch

from ssseg.models.flaw_detector import FlawDetector, HalfInstanceNorm


@pytest.mark.parametrize("size", [(1, 1), (32, 32), (64, 70)])
def test_images_of_any_size_are_judged(size):
    with torch.autocast("cpu", torch.bfloat16):
        flaws = FlawDetector(4)(torch.rand(2, 4, *size))
    assert flaws.shape == (2, *size)
    assert flaws.dtype == torch.float32


def test_half_of_the_channels_are_normalised_by_image():
    """A bright image changes the first half of another one, and not the second."""
    torch.manual_seed(0)
    norm, feats = HalfInstanceNorm(6), torch.randn(2, 6, 5, 5)
    brighter = torch.stack((feats[0], 9 + feats[1]))
    before, after = norm(feats)[0], norm(brighter)[0]
    torch.testing.assert_close(before[3:], after[3:])
    assert (before[:3] - after[:3]).abs().amax((1, 2)).min() > 0.5
    torch.testing.assert_close(before[3:].mean((1, 2)), torch.zeros(3), atol=1e-6, rtol=0)


@pytest.mark.parametrize(("side", "positions"), [(64, 2), (96, 3), (320, 10)])
def test_the_detector_sees_parts_of_an_image(side, positions):
    assert FlawDetector(4).layers(torch.rand(1, 4, side, 64)).shape == (1, 1, positions, 2)
