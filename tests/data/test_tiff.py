"""A TIFF file is read whole or refused: no page and no part of a number is left out in silence."""

import numpy as np
import pytest
import tifffile
from PIL import Image

from ssseg.data.image_io import image_info, read_ids, read_image
from ssseg.errors import UserError

HEIGHT, WIDTH = 24, 40
RNG = np.random.default_rng(0)
PLANES = RNG.integers(0, 255, (4, HEIGHT, WIDTH), np.uint8)


def read(path):
    info = image_info(path)
    found = read_image(path, info.channels, info.pixels)
    assert found.shape == info[:3]
    return np.rint(found * 65535) if info.pixels == "uint16" else found


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize(
    "options",
    [
        {"photometric": "minisblack"},
        {"photometric": "minisblack", "planarconfig": "separate"},
        {"imagej": True, "metadata": {"axes": "CYX"}},
        {"imagej": True, "metadata": {"axes": "ZCYX"}},
        {"ome": True, "metadata": {"axes": "CYX"}},
        {"photometric": "minisblack", "metadata": {"axes": "CYX"}, "compression": "zlib"},
    ],
)
def test_channels_that_are_pages(tmp_path, dtype, options):
    planes = PLANES.astype(dtype)
    alone = options.get("metadata", {}).get("axes") == "ZCYX"
    tifffile.imwrite(tmp_path / "a.tif", planes[None] if alone else planes, **options)
    found = read(tmp_path / "a.tif")
    np.testing.assert_array_equal(found, np.moveaxis(planes, 0, -1))


def slices(path):
    tifffile.imwrite(path, PLANES, imagej=True, metadata={"axes": "ZYX"})


def times_and_channels(path):
    stack = np.stack([PLANES, PLANES])
    tifffile.imwrite(path, stack, imagej=True, metadata={"axes": "TCYX"})


def arrays_of_arrays(path):
    tifffile.imwrite(path, np.stack([PLANES, PLANES]).astype(np.float32), photometric="minisblack")


def scans(path):
    pages = [Image.fromarray(np.moveaxis(PLANES[:3], 0, -1).copy()) for _ in range(3)]
    pages[0].save(path, save_all=True, append_images=pages[1:])


def scans_of_two_sizes(path):
    with tifffile.TiffWriter(path) as file:
        file.write(PLANES[0], metadata=None)
        file.write(PLANES[0, :, ::-1].T, metadata=None)


def rows_as_pages(path):
    tifffile.imwrite(path, np.moveaxis(PLANES, 0, -1)[..., :2].astype(np.float32))


def complex_numbers(path):
    tifffile.imwrite(path, (PLANES[0] + 1j * PLANES[1]).astype(np.complex64))


@pytest.mark.parametrize(
    ("write", "words"),
    [
        (slices, r"several pages \(4 x 24 x 40, axes ZYX\) .* save each page"),
        (times_and_channels, r"several pages \(2 x 4 x 24 x 40, axes TCYX\)"),
        (arrays_of_arrays, r"several pages \(2 x 4 x 24 x 40"),
        (scans, r"several pages \(3 x 24 x 40 x 3"),
        (scans_of_two_sizes, "2 images of different sizes .* save the one that counts"),
        (rows_as_pages, "pages of 40 x 2, as if rows had been taken for pages .* planarconfig"),
        (complex_numbers, "complex64 values, but expected are real numbers; save the magnitude"),
    ],
)
def test_what_is_no_single_image_is_refused(tmp_path, write, words):
    path = tmp_path / "a.tif"
    write(path)
    for use in (image_info, lambda p: read_image(p, 1, "float"), read_ids):
        with pytest.raises(UserError, match=words) as caught:
            use(path)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)


def test_smaller_copies_and_masks_of_transparency_are_no_images(tmp_path):
    image = np.moveaxis(PLANES, 0, -1).astype(np.uint16)
    how = {"photometric": "minisblack", "planarconfig": "contig", "metadata": None}
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(image, **how)
        file.write(image[::2, ::2], subfiletype=1, **how)
        file.write(image[..., 0] > 9, subfiletype=4, photometric="mask", metadata=None)
    np.testing.assert_array_equal(read(tmp_path / "a.tif"), image)


def test_bytes_with_a_sign_keep_it(tmp_path):
    values = np.arange(-128, 112, dtype=np.int8).reshape(12, 20)
    tifffile.imwrite(tmp_path / "a.tif", values)
    assert image_info(tmp_path / "a.tif").pixels == "float"
    np.testing.assert_array_equal(read(tmp_path / "a.tif")[..., 0], values)
