"""Pixels of every kind of file come out as they went in."""

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

from ssseg.data.image_io import ImageInfo, probe, read_ids, read_image
from ssseg.errors import UserError

RNG = np.random.default_rng(0)
HEIGHT, WIDTH = 12, 20


def values(channels, dtype=np.uint8):
    """Random values that use the whole range of a type."""
    shape = (HEIGHT, WIDTH, channels)
    if np.issubdtype(dtype, np.floating):
        return RNG.normal(300, 50, shape).astype(dtype)
    return RNG.integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)


def save_png16(array, path):
    order = {1: [0], 3: [2, 1, 0], 4: [2, 1, 0, 3]}[array.shape[-1]]
    cv2.imwrite(str(path), array[..., order])


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB"), (4, "RGBA")])
def test_eight_bits(tmp_path, channels, mode):
    image = values(channels)
    Image.fromarray(image.squeeze(), mode).save(tmp_path / "a.png")
    shown = probe(tmp_path / "a.png")
    assert shown == (HEIGHT, WIDTH, min(channels, 3), "uint8")  # transparency is no channel
    np.testing.assert_array_equal(read_image(tmp_path / "a.png", channels, "uint8"), image)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_sixteen_bits_of_png_are_kept(tmp_path, channels):
    image = values(channels, np.uint16)
    save_png16(image, tmp_path / "a.png")
    assert probe(tmp_path / "a.png") == (HEIGHT, WIDTH, channels, "uint16")
    found = read_image(tmp_path / "a.png", channels, "uint16")
    assert found.dtype == np.float32
    np.testing.assert_array_equal(np.rint(found * 65535), image)


@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("compression", [None, "zlib", "lzw"])
@pytest.mark.parametrize("channels", [1, 2, 3, 5, 8])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_tiff_of_any_depth_and_number_of_channels(tmp_path, dtype, channels, compression, planar):
    image = values(channels, dtype)
    stored = image if channels > 1 else image[..., 0]
    stored = np.moveaxis(stored, -1, 0) if planar == "separate" and channels > 1 else stored
    how = {"planarconfig": planar} if channels > 1 else {}
    tifffile.imwrite(
        tmp_path / "a.tif", stored, compression=compression, photometric="minisblack", **how
    )
    kind = {np.uint8: "uint8", np.uint16: "uint16", np.float32: "float"}[dtype]
    assert probe(tmp_path / "a.tif") == (HEIGHT, WIDTH, channels, kind)
    found = read_image(tmp_path / "a.tif", channels, kind)
    if kind == "uint16":
        found = np.rint(found * 65535)
    np.testing.assert_array_equal(found, image)


def test_float64_becomes_single_precision(tmp_path):
    image = values(1, np.float64)
    tifffile.imwrite(tmp_path / "a.tif", image[..., 0])
    found = read_image(tmp_path / "a.tif", 1, "float")
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, image.astype(np.float32))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_grey_and_colour_become_each_other(tmp_path, dtype):
    kind = "uint8" if dtype == np.uint8 else "uint16"
    grey, colour = values(1, dtype), values(3, dtype)
    cv2.imwrite(str(tmp_path / "grey.png"), grey)
    cv2.imwrite(str(tmp_path / "colour.png"), colour[..., ::-1])
    unit = 1 if kind == "uint8" else 65535
    found = read_image(tmp_path / "grey.png", 3, kind) * unit
    np.testing.assert_allclose(found, grey.repeat(3, -1), rtol=1e-6)
    found = read_image(tmp_path / "colour.png", 1, kind) * unit
    luma = colour @ np.array([0.299, 0.587, 0.114])
    np.testing.assert_allclose(found[..., 0], luma, atol=1.01)


def test_the_camera_held_upright(tmp_path):
    image = values(3)
    exif = Image.Exif()
    exif[274] = 6  # to be turned by a quarter clockwise
    Image.fromarray(image).save(tmp_path / "a.png", exif=exif)
    assert probe(tmp_path / "a.png") == ImageInfo(WIDTH, HEIGHT, 3, "uint8")
    found = read_image(tmp_path / "a.png", 3, "uint8")
    np.testing.assert_array_equal(found, np.rot90(image, -1))


@pytest.mark.parametrize(
    ("dtype", "kind", "words"),
    [(np.uint16, "uint8", "16-bit"), (np.uint8, "uint16", "8-bit"), (np.float32, "uint8", "float")],
)
def test_another_kind_of_values_is_refused(tmp_path, dtype, kind, words):
    tifffile.imwrite(tmp_path / "a.tif", values(1, dtype)[..., 0])
    with pytest.raises(UserError, match=rf"a\.tif holds .*{words}.* but expected are .* convert"):
        read_image(tmp_path / "a.tif", 1, kind)


def test_another_number_of_bands_is_refused(tmp_path):
    bands = {"photometric": "minisblack", "planarconfig": "contig"}
    tifffile.imwrite(tmp_path / "a.tif", values(5), **bands)
    with pytest.raises(UserError, match=r"a\.tif has 5 channels, but expected are 3"):
        read_image(tmp_path / "a.tif", 3, "uint8")


@pytest.mark.parametrize("ending", [".png", ".tif", ".jpg", ".bmp", ".webp"])
@pytest.mark.parametrize("content", [b"", b"no image", b"II*\x00", b"\x89PNG\r\n\x1a\n", "half"])
def test_broken_files_end_in_one_sentence(tmp_path, ending, content):
    path = tmp_path / f"a{ending}"
    if content == "half":
        Image.fromarray(np.random.default_rng(0).integers(0, 255, (90, 90, 3), np.uint8)).save(path)
        content = path.read_bytes()[: path.stat().st_size // 2]
    path.write_bytes(content)
    with pytest.raises(UserError, match="replace or remove it") as caught:
        read_image(path, 3, "uint8")
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_values_are_refused(tmp_path):
    image = values(1, np.float32)
    image[3, 4] = np.nan
    tifffile.imwrite(tmp_path / "a.tif", image[..., 0])
    with pytest.raises(UserError, match=r"a\.tif holds values that are no numbers .* replace them"):
        read_image(tmp_path / "a.tif", 1, "float")


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32])
def test_ids_of_every_integer_type(tmp_path, dtype):
    ids = np.random.default_rng(0).integers(0, 200, (HEIGHT, WIDTH)).astype(dtype)
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, ids)
    np.testing.assert_array_equal(read_ids(path), ids)


def test_a_palette_is_no_colour(tmp_path):
    ids = np.random.default_rng(0).integers(0, 5, (HEIGHT, WIDTH), np.uint8)
    picture = Image.fromarray(ids, "P")
    picture.putpalette([200, 3, 4] * 256)
    picture.save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_ids(tmp_path / "a.png"), ids)


def test_a_mask_of_floats_is_refused(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", values(1, np.float32)[..., 0])
    with pytest.raises(UserError, match=r"a\.tif has 1 channels of float32; expected one channel"):
        read_ids(tmp_path / "a.tif")
