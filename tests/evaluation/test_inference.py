import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from ssseg.errors import UserError
from ssseg.evaluation import SIX_SCALES, Inference

KERNEL = torch.randn(4, 3, 3, 3, generator=torch.Generator().manual_seed(0))


def pointwise(image):
    """A network that looks at each pixel alone."""
    return F.conv2d(image, KERNEL.sum((2, 3), keepdim=True))


def local(image):
    """A network that sees neighbours, and its own borders."""
    return F.conv2d(image, KERNEL, padding=1)


def picture(batch=2, height=23, width=31, seed=0):
    return torch.randn(batch, 3, height, width, generator=torch.Generator().manual_seed(seed))


def test_plain_is_the_network_itself():
    image = picture()
    assert Inference().plain
    assert torch.equal(Inference()(local, image), local(image))


@pytest.mark.parametrize("window", [(23, 31), (40, 50), (23, 99)])
def test_a_window_as_large_as_the_image_is_the_whole(window):
    image = picture()
    found = Inference("slide", window)(local, image)
    torch.testing.assert_close(found, local(image).softmax(1))


@settings(max_examples=40, deadline=None)
@given(
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    window=st.tuples(st.integers(1, 17), st.integers(1, 17)),
    data=st.data(),
)
def test_windows_of_any_stride_agree_where_the_network_sees_single_pixels(size, window, data):
    stride = tuple(data.draw(st.integers(1, side)) for side in window)
    batch = data.draw(st.integers(1, 9))
    image = picture(2, *size)
    found = Inference("slide", window, stride, batch_size=batch)(pointwise, image)
    torch.testing.assert_close(found, pointwise(image).softmax(1))


def test_overlapping_probabilities_are_averaged():
    """Against a plain program that adds up window after window."""
    image, window, stride = picture(1), (10, 12), (7, 5)
    total, count = torch.zeros(1, 4, 23, 31), torch.zeros(1, 1, 23, 31)
    for top in (0, 7, 13):
        for left in (0, 5, 10, 15, 19):
            part = image[:, :, top : top + 10, left : left + 12]
            total[:, :, top : top + 10, left : left + 12] += local(part).softmax(1)
            count[:, :, top : top + 10, left : left + 12] += 1
    torch.testing.assert_close(Inference("slide", window, stride)(local, image), total / count)


def test_no_pass_is_larger_than_asked_for():
    sizes = []

    def watched(image):
        sizes.append(len(image))
        return local(image)

    Inference("slide", (8, 8), batch_size=5)(watched, picture(2))
    assert max(sizes) <= 5
    sizes.clear()
    Inference("slide", (8, 8), batch_size=1)(watched, picture(2))
    assert set(sizes) == {2}  # one window of every image of the batch


def test_flipping_averages_both_ways():
    image = picture()
    expected = (local(image).softmax(1) + local(image.flip(-1)).softmax(1).flip(-1)) / 2
    torch.testing.assert_close(Inference(flip=True)(local, image), expected)


@pytest.mark.parametrize("mode", ["whole", "slide"])
def test_a_mirrored_image_gets_the_mirrored_answer(mode):
    image = picture()
    infer = Inference(mode, (9, 31), flip=True, scales=(0.5, 1.0))
    torch.testing.assert_close(infer(local, image.flip(-1)), infer(local, image).flip(-1))


def test_scales_are_averaged_in_probability():
    image = picture()
    expected = 0
    for scale, size in ((0.5, (12, 16)), (1.0, (23, 31)), (2.0, (46, 62))):
        scaled = F.interpolate(image, size, mode="bilinear", align_corners=False)
        scaled = image if scale == 1 else scaled
        probs = local(scaled).softmax(1)
        expected += F.interpolate(probs, (23, 31), mode="bilinear", align_corners=False) / 3
    torch.testing.assert_close(Inference(scales=(0.5, 1.0, 2.0))(local, image), expected)


@pytest.mark.parametrize("mode", ["whole", "slide"])
@pytest.mark.parametrize("flip", [False, True])
def test_everything_together_gives_probabilities(mode, flip):
    found = Inference(mode, (10, 10), (5, 5), SIX_SCALES, flip)(local, picture(1))
    assert found.shape == (1, 4, 23, 31)
    torch.testing.assert_close(found.sum(1), torch.ones(1, 23, 31))
    assert found.min() >= 0


def test_no_gradient_is_kept():
    weight = torch.ones((), requires_grad=True)
    assert not Inference(flip=True)(lambda x: local(x) * weight, picture()).requires_grad
    assert not Inference()(lambda x: local(x) * weight, picture()).requires_grad


def test_half_precision_is_averaged_in_single():
    found = Inference("slide", (8, 8))(lambda x: local(x).bfloat16(), picture())
    assert found.dtype == torch.float32


def test_the_window_of_training_is_the_usual_one():
    assert Inference("slide").within((5, 6)).window == (5, 6)
    assert Inference("slide", (3, 4)).within((5, 6)).window == (3, 4)
    with pytest.raises(UserError, match=r"eval\.mode is slide, .* give eval\.window"):
        Inference("slide")(local, picture())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"scales": ()}, r"eval\.scales is \[\]; expected factors above 0"),
        ({"scales": (1.0, 0.0)}, r"eval\.scales is \[1\.0, 0\.0\]"),
        ({"batch_size": 0}, r"eval\.batch_size is 0; expected at least 1"),
        ({"window": (0, 5)}, r"eval\.window is \[0, 5\]; expected at least 1 pixel"),
        ({"stride": (5, 0)}, r"eval\.stride is \[5, 0\]; expected at least 1 pixel"),
        ({"window": (5, 5), "stride": (5, 6)}, r"eval\.stride .* would be left out; lower"),
    ],
)
def test_bad_options(options, words):
    with pytest.raises(UserError, match=words):
        Inference(**options)


def test_what_a_table_says():
    assert str(Inference()) == "whole"
    assert str(Inference("slide", (5, 6), flip=True)) == "slide 5 x 6, flip"
    assert str(Inference(scales=SIX_SCALES)) == "whole, 6 scales"
