"""Pixels without data teach nothing: no statistics, no loss, no score."""

import numpy as np
import pytest
import tifffile
from PIL import Image

from ssseg.data.datasets.folder import Folder
from ssseg.data.image_io import read_image
from ssseg.data.nodata import suspected
from ssseg.datacheck.scan import scan_image
from ssseg.errors import UserError
from ssseg.types import IGNORE
from tests.data.trees import batches, data_of, draw_mask, paint, save, write_classes

EDGE = 5
"""Rows at the top without data."""


def geotiffs(root, nodata, dtype, declared=True, unit=0.4, bands=4):
    """A tree of satellite images; the value 0 stands for a sensor that saw nothing."""
    rng = np.random.default_rng(0)
    for split, count in (("train", 6), ("val", 2), ("unlabeled", 4)):
        for i in range(count):
            mask = draw_mask(rng)
            image = paint(mask)[..., [0, 1, 2, 0]][..., :bands] / 255 * unit
            image = image + rng.normal(0, unit / 50, image.shape)
            image = np.clip(image, 0.01 * unit, None)
            if nodata is not None:
                image[:EDGE] = nodata
            folder = root / split / ("" if split == "unlabeled" else "images")
            folder.mkdir(parents=True, exist_ok=True)
            tags = [(42113, "s", 0, str(nodata), True)] if declared and nodata is not None else []
            layout = {"photometric": "minisblack", "planarconfig": "contig"}
            tifffile.imwrite(folder / f"a{i}.tif", image.astype(dtype), extratags=tags, **layout)
            if split != "unlabeled":
                save(mask, root / split / "masks" / f"a{i}.png")
    write_classes(root, ["sky", "road", "car"])
    return root


CASES = [
    (-9999, np.float32, 0.4),
    (float("nan"), np.float32, 0.4),
    (-3.4e38, np.float32, 0.4),
    (-1.7976931348623157e308, np.float64, 0.4),
    (-32768, np.int16, 3000),
    (0, np.uint16, 3000),
    (0, np.uint8, 255),
]


@pytest.mark.parametrize(("nodata", "dtype", "unit"), CASES)
def test_declared_pixels_are_left_out_and_invalid(tmp_path, nodata, dtype, unit, caplog):
    plain = data_of(geotiffs(tmp_path / "plain", None, dtype, unit=unit))
    root = geotiffs(tmp_path / "gaps", nodata, dtype, unit=unit)
    data = data_of(root, crop_size=(24, 32), scale=(1.0, 1.0), flip=False)
    np.testing.assert_allclose(data.mean, plain.mean, rtol=0.1)
    np.testing.assert_allclose(data.std, plain.std, rtol=0.2)
    data.prepare("fit", 2)
    (batch,) = batches(data, 1)
    assert (batch.labeled.label[:, :EDGE] == IGNORE).all()
    assert (batch.labeled.label[:, EDGE:] != IGNORE).all()
    assert not batch.unlabeled.valid[:, :EDGE].any()
    assert batch.unlabeled.valid[:, EDGE:].all()
    (scored,) = next(iter(data.val_dataloader()))
    assert (scored.label[:, :EDGE] == IGNORE).all()
    for images in (batch.labeled.image, batch.unlabeled.views[0], scored.image):
        assert images.isfinite().all()
        if dtype != np.uint8:  # where the colour that stands for nothing is one like others
            assert images[:, :, :EDGE].abs().max() < 1e-4
    assert not data.notices()
    assert not caplog.records  # tifffile complains of numbers that 32 bits round


def test_resizing_does_not_spread_gaps(tmp_path):
    root = geotiffs(tmp_path, -9999, np.float32)
    data = data_of(root, image_size=(12, 16), crop_size=(12, 16), scale=(1.0, 1.0))
    (batch,) = batches(data, 1)
    assert batch.labeled.image.isfinite().all()
    assert batch.labeled.image.abs().max() < 10
    assert (batch.labeled.label[:, :2] == IGNORE).all()
    assert (batch.labeled.label[:, 3:] != IGNORE).all()


def test_one_channel_of_an_image_without_sign_may_be_black(tmp_path):
    image = np.full((6, 8, 3), 9, np.uint16)
    image[0, 0] = 0
    image[1, 1, 0] = 0
    layout = {"photometric": "rgb", "extratags": [(42113, "s", 0, "0", True)]}
    tifffile.imwrite(tmp_path / "a.tif", image, **layout)
    gaps = np.isnan(read_image(tmp_path / "a.tif", 3, "uint16")).any(-1)
    assert gaps[0, 0]
    assert gaps.sum() == 1
    tifffile.imwrite(tmp_path / "a.tif", image.astype(np.int16), **layout)
    assert np.isnan(read_image(tmp_path / "a.tif", 3, "float")).any(-1).sum() == 2


def test_values_that_the_type_cannot_hold_mean_nothing(tmp_path):
    image = np.full((6, 8), 9, np.uint16)
    for value in ("-9999", "nan", "1.5", "what?"):
        tifffile.imwrite(tmp_path / "a.tif", image, extratags=[(42113, "s", 0, value, True)])
        assert np.isfinite(read_image(tmp_path / "a.tif", 1, "uint16")).all()


def test_images_without_any_data_end_in_a_sentence(tmp_path):
    root = geotiffs(tmp_path, 0, np.uint16, unit=0)
    with pytest.raises(UserError, match=r"10 images of .* hold no data"):
        data_of(root)


@pytest.mark.parametrize(
    ("nodata", "dtype", "unit"), [(-9999, np.float32, 0.4), (-32768, np.int16, 3000),
                                  (65535, np.uint16, 3000)]
)  # fmt: skip
def test_a_value_that_looks_like_no_data_is_remarked_on(tmp_path, nodata, dtype, unit):
    root = geotiffs(tmp_path, nodata, dtype, declared=False, unit=unit)
    data = data_of(root)
    (remark,) = data.notices()
    assert remark.startswith(f"10 images hold the value {nodata} in many pixels")
    assert f"-a_nodata {nodata}" in remark
    source = Folder(str(root))
    _, problems = scan_image(source, source.records("train")[0])
    assert problems == [("image_undeclared", str(nodata))]


def test_ordinary_values_are_not_suspected():
    rng = np.random.default_rng(0)
    cells = np.where(rng.random((64, 64, 1)) < 0.7, 0, rng.normal(300, 60, (64, 64, 1)))
    for image in (
        rng.normal(0, 1, (64, 64, 3)),
        rng.integers(0, 2, (64, 64, 1)).astype(np.float32),  # two values
        cells,  # black background
        np.zeros((64, 64, 2)),
        np.full((4, 4, 1), np.nan),
        rng.random((64, 64, 2)).clip(0.2, 0.8),  # over- and underexposed
    ):
        assert suspected(image) is None


def test_prediction_sees_the_mean_there(tmp_path):
    from ssseg.prediction.predictor import Predictor
    from ssseg.testing import tiny_network

    root = geotiffs(tmp_path, -9999, np.float32, bands=3)
    data = data_of(root)
    model = Predictor(tiny_network(3), data.info, "student")
    pixels = model.pixels_of(root / "unlabeled" / "a0.tif")
    np.testing.assert_allclose(pixels[:EDGE], np.broadcast_to(data.mean, (EDGE, 32, 3)), rtol=1e-5)


def test_large_pictures_are_read_where_they_fit(tmp_path, monkeypatch):
    # 1,000 pixels as Pillow's bound stand for the 89 million that it has
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    save(np.zeros((60, 60, 3), np.uint8), tmp_path / "a.png")
    assert read_image(tmp_path / "a.png", 3, "uint8").shape == (60, 60, 3)
    assert Image.MAX_IMAGE_PIXELS == 1000
    monkeypatch.setattr("ssseg.runs.machine.most_bytes", lambda: 10_000)
    for name, dtype in (("a.png", np.uint8), ("b.tif", np.float32)):
        if dtype is np.float32:
            tifffile.imwrite(tmp_path / name, np.zeros((60, 60), dtype))
        with pytest.raises(UserError, match=r"60 x 60 pixels, .* cut it into tiles"):
            read_image(tmp_path / name, 1, "uint8")
