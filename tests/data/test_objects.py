"""Images as objects are read as strictly as files."""

import numpy as np
import pytest
import torch
from PIL import Image

from ssseg.data.objects import pixels_of
from ssseg.errors import UserError


def grey16(mode):
    """The grey street of 16 bits as Pillow has it, which it would clip to 8."""
    values = np.full((5, 5), 300 * 100, np.uint16)
    return Image.fromarray(values if mode == "I;16" else values.astype(np.int32))


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (grey16("I;16"), "holds uint16, but the model was trained on uint8"),
        (grey16("I"), "holds int32, but the model was trained on uint8"),
        (Image.fromarray(np.full((5, 5), 7, np.float32)), "floats from 7 to 7, .* from 0 to 1"),
        (torch.full((3, 5, 5), 255.0), "floats from 255 to 255, .* divide its values by 255"),
        (np.linspace(-2, 2.6, 75).reshape(5, 5, 3), "floats from -2 to 2.6"),
        (np.where(np.eye(5)[..., None], np.nan, np.zeros(3)), "no numbers"),
        (np.zeros((5, 5, 3), bool), "holds bool"),
    ],
    ids=lambda value: getattr(value, "mode", None),
)
def test_objects_are_as_strict_as_files(street_model, image, words):
    with pytest.raises(UserError, match=words):
        street_model.predict(image)


def test_pictures_of_more_than_8_bits(street_photo):
    """One picture of 16 bits, in all the forms that it may come in."""
    deep = street_photo[..., 0].astype(np.uint16) * 257
    wanted = (deep / 65535).astype(np.float32)[..., None]
    for image in (
        deep,
        Image.fromarray(deep),
        Image.fromarray(deep.astype(np.int32)),
        Image.fromarray(wanted[..., 0]),
        torch.from_numpy(deep.astype(np.float64) / 65535),
    ):
        np.testing.assert_allclose(pixels_of(image, 1, "uint16"), wanted, atol=1e-6)
    for image in (deep.astype(np.int32), deep.astype(np.float64)):
        found = pixels_of(image, 1, "float")
        np.testing.assert_array_equal(found[..., 0], deep.astype(np.float32))
    for image in (deep, street_photo[..., 0]):
        with pytest.raises(UserError, match="but the model was trained on float"):
            pixels_of(image, 1, "float")
