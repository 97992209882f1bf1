"""Pixels of every kind of file come out as they went in."""

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

from ssseg.data.datasets.folder import Folder
from ssseg.data.image_io import ImageInfo, image_info, read_ids, read_image
from ssseg.errors import UserError
from tests.data.trees import draw_mask, draw_tree, paint, save

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
    shown = image_info(tmp_path / "a.png")
    assert shown == (HEIGHT, WIDTH, min(channels, 3), "uint8")  # transparency is no channel
    np.testing.assert_array_equal(read_image(tmp_path / "a.png", channels, "uint8"), image)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_sixteen_bits_of_png_are_kept(tmp_path, channels):
    image = values(channels, np.uint16)
    save_png16(image, tmp_path / "a.png")
    assert image_info(tmp_path / "a.png") == (HEIGHT, WIDTH, channels, "uint16")
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
    assert image_info(tmp_path / "a.tif") == (HEIGHT, WIDTH, channels, kind)
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
    assert image_info(tmp_path / "a.png") == ImageInfo(WIDTH, HEIGHT, 3, "uint8")
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


def palette(mask, colors=256):
    """Colors in no order, so that only the indices can tell the classes."""
    image = Image.fromarray(mask)
    image.putpalette([(place * step) % 256 for place in range(colors) for step in (91, 57, 133)])
    return image


MASKS = {
    "palette": ("png", palette),
    "16 bit": ("png", lambda m: Image.fromarray(m.astype(np.uint16))),
    "32 bit": ("tif", lambda m: Image.fromarray(m.astype(np.int32))),
    "bmp": ("bmp", Image.fromarray),
    "tiff": ("TIFF", Image.fromarray),
    "upper case": ("PNG", Image.fromarray),
}


@pytest.mark.parametrize("kind", MASKS)
def test_masks_hold_class_ids_in_whatever_form(tmp_path, kind):
    ending, make = MASKS[kind]
    root = draw_tree(tmp_path, train=1)
    expected = draw_mask(np.random.default_rng(9))
    expected[0, :5] = 255
    (root / "train" / "masks" / "a0.png").unlink()
    make(expected).save(root / "train" / "masks" / f"a0.{ending}")
    source = Folder(str(root))
    mask = source.read_mask(source.records("train")[0])
    assert mask.dtype == np.uint8
    np.testing.assert_array_equal(mask, expected)


@pytest.mark.parametrize(("colors", "bits"), [(3, 2), (16, 4)])
def test_masks_with_a_small_palette(tmp_path, colors, bits):
    root = draw_tree(tmp_path, train=1)
    expected = draw_mask(np.random.default_rng(9))
    path = root / "train" / "masks" / "a0.png"
    palette(expected, colors).save(path)
    assert path.read_bytes()[24] == bits  # the bit depth in the header
    source = Folder(str(root))
    np.testing.assert_array_equal(source.read_mask(source.records("train")[0]), expected)


def test_masks_of_one_bit(tmp_path):
    root = draw_tree(tmp_path, train=1)
    expected = draw_mask(np.random.default_rng(9), num_classes=2)
    save(expected.astype(bool), root / "train" / "masks" / "a0.png")
    assert Image.open(root / "train" / "masks" / "a0.png").mode == "1"
    source = Folder(str(root))
    mask = source.read_mask(source.records("train")[0])
    assert mask.dtype == np.uint8
    np.testing.assert_array_equal(mask, expected)


def test_gray_photographs_have_one_channel(tmp_path):
    root = draw_tree(tmp_path)
    mask = draw_mask(np.random.default_rng(9))
    save(paint(mask)[..., 0], root / "train" / "images" / "a0.png")
    source = Folder(str(root))
    assert source.in_channels == 1
    records = source.records("train")
    np.testing.assert_array_equal(source.read_image(records[0]), paint(mask)[..., :1])
    # a colored one among them is converted, not refused
    assert source.read_image(records[1]).shape == (24, 32, 1)


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGBA", "CMYK", "1"])
def test_photographs_of_other_color_modes_become_rgb(tmp_path, mode):
    root = draw_tree(tmp_path)
    rgb = Image.fromarray(paint(draw_mask(np.random.default_rng(9))))
    path = root / "train" / "images" / "a1.png"
    if mode == "CMYK":
        path.unlink()
        path = path.with_suffix(".tif")
    rgb.convert(mode).save(path)
    source = Folder(str(root))
    image = source.read_image(source.records("train")[1])
    assert image.shape == (24, 32, 3)
    expected = np.asarray(rgb.convert(mode).convert("RGB"))
    np.testing.assert_array_equal(image, expected)


# what a viewer does with the stored pixels for each value of the EXIF orientation
ORIENTATIONS = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: np.rot90(a, 2),
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(a, 2).swapaxes(0, 1),
    8: lambda a: np.rot90(a, 1),
}


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("ending", [".png", ".jpg"])
def test_photographs_are_read_as_they_are_displayed(tmp_path, orientation, ending):
    root = draw_tree(tmp_path, train=1, val=0, unlabeled=0)
    (root / "train" / "images" / "a0.png").unlink()
    stored = paint(draw_mask(np.random.default_rng(4)))
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"quality": 95} if ending == ".jpg" else {}
    save(stored, root / "train" / "images" / f"a0{ending}", exif=exif, **options)
    displayed = ORIENTATIONS[orientation](stored)
    mask = (displayed[..., 0] // 80).astype(np.uint8)
    save(mask, root / "train" / "masks" / "a0.png")
    source = Folder(str(root))
    (record,) = source.records("train")
    source.check([record])
    image = source.read_image(record)
    assert image.shape == displayed.shape
    assert np.abs(image - displayed.astype(int)).mean() < (3 if ending == ".jpg" else 1e-9)
