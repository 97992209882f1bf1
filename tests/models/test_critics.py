"""Critics take images of any size, and can be used without training them."""

from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F

from ssseg.models.critics import ImageCritic, PixelCritic, at_least, without_gradient

SIZES = [(1, 1), (2, 45), (24, 24), (31, 33), (64, 32)]


@pytest.fixture(scope="module")
def critics():
    torch.manual_seed(0)
    return PixelCritic(3), ImageCritic(5)


@pytest.mark.parametrize("size", SIZES)
def test_images_of_any_size_are_judged(critics, size):
    by_pixel, by_image = critics
    assert by_pixel(torch.rand(2, 3, *size)).shape == (2, *size)
    features, logits = by_image(torch.rand(2, 5, *size))
    assert (features.shape, logits.shape) == ((2, 512), (2,))


def test_only_small_maps_are_enlarged():
    maps = torch.rand(1, 2, 5, 40)
    assert at_least(maps, 5) is maps
    wanted = F.interpolate(maps, (32, 40), mode="bilinear", align_corners=False)
    assert torch.equal(at_least(maps, 32), wanted)


def test_layers_are_those_of_the_papers(critics):
    by_pixel, by_image = critics
    convolutions = [m for m in by_pixel.modules() if isinstance(m, torch.nn.Conv2d)]
    shapes = [(m.in_channels, m.out_channels, m.kernel_size, m.stride) for m in convolutions]
    widths = (3, 64, 128, 256, 512, 1)
    assert shapes == [(a, b, (4, 4), (2, 2)) for a, b in pairwise(widths)]
    assert sum(isinstance(m, torch.nn.Dropout2d) for m in by_image.modules()) == 3


def test_the_input_of_a_frozen_critic_gets_its_gradient_and_the_critic_none(critics):
    critic, probs = critics[0], torch.rand(1, 3, 32, 32, requires_grad=True)
    out = without_gradient(critic, probs)
    torch.testing.assert_close(out, critic(probs))
    out.sum().backward()
    assert probs.grad.any()
    assert all(p.grad is None for p in critic.parameters())


def test_half_precision_is_judged_in_float32(critics):
    with torch.autocast("cpu", torch.bfloat16):
        assert critics[0](torch.rand(1, 3, 8, 8)).dtype == torch.float32
        assert {out.dtype for out in critics[1](torch.rand(1, 5, 8, 8))} == {torch.float32}
