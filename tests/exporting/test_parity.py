import pytest

from ssseg.errors import UserError
from ssseg.exporting.parity import Parity, compare
from tests.exporting.files import images


def test_other_sizes_than_the_images_are_compared_too():
    """An answer that is right for even sides alone is found out by the crops of odd sides."""
    seen = []

    def exported(image):
        seen.append(tuple(image.shape))
        return image * (image.shape[-1] % 2 == 0)

    parity = compare(lambda image: image, exported, images([(1, 32, 48)]))
    assert seen == [(1, 3, 32, 48), (2, 3, 25, 37), (2, 3, 13, 21)]
    assert not parity.good


def test_images_that_the_model_refuses_are_one_sentence():
    def model(image):
        if image.shape[-1] < 40:
            raise RuntimeError("too small")
        return image

    assert compare(model, lambda image: image, images([(1, 32, 48)])).good
    with pytest.raises(UserError, match=r"the model itself fails .* \(too small\); give larger"):
        compare(model, lambda image: image, images([(1, 32, 32)]))


def test_what_is_let_pass():
    assert Parity(1e-4, 1.0, 1.0).good
    assert Parity(0.0, 0.0, 1.0).good
    assert not Parity(1.1e-3, 1.0, 1.0).good
    assert not Parity(0.0, 1.0, 0.998).good
    assert not Parity(float("nan"), 1.0, 1.0).good
