"""Draws small folder data sets: photographs whose gray value tells their class."""

import json
from itertools import islice

import numpy as np
import pytest
import tifffile
from PIL import Image

from ssseg.data.datasets.folder import Folder
from ssseg.data.module import SegmentationData
from ssseg.errors import UserError

CLASSES = ("sky", "road", "car")
SIZE = (24, 32)
GRAY = np.array([40, 120, 200], np.uint8)
"""What a class looks like; none is 0, which is the color of padding."""


def draw_mask(rng, size=SIZE, num_classes=3):
    """Blocks of 8 x 8 pixels, one class each."""
    height, width = size
    blocks = rng.integers(0, num_classes, (-(-height // 8), -(-width // 8)), dtype=np.uint8)
    return blocks.repeat(8, 0).repeat(8, 1)[:height, :width]


def paint(mask):
    """The photograph of a mask, (..., H, W, 3)."""
    return np.repeat(GRAY[mask][..., None], 3, -1)


def save(array, path, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path, **options)


def draw_pair(root, split, name, rng, ending=".png", size=SIZE):
    mask = draw_mask(rng, size)
    save(paint(mask), root / split / "images" / f"{name}{ending}")
    save(mask, root / split / "masks" / f"{name}.png")


def draw_tree(root, train=8, val=3, test=0, unlabeled=4, ending=".png", size=SIZE, seed=0):
    """A folder data set with images `a0`, `a1`, ... and unlabeled ones `u0`, `u1`, ..."""
    rng = np.random.default_rng(seed)
    for split, count in (("train", train), ("val", val), ("test", test)):
        for i in range(count):
            draw_pair(root, split, f"a{i}", rng, ending, size)
    for i in range(unlabeled):
        save(paint(draw_mask(rng, size)), root / "unlabeled" / f"u{i}{ending}")
    write_classes(root, list(CLASSES))
    return root


def write_classes(root, content):
    root.mkdir(parents=True, exist_ok=True)
    (root / "classes.json").write_text(json.dumps(content), encoding="utf-8")


def data_of(root, unlabeled=None, **options):
    """The DataModule of a tree, small enough for tests."""
    defaults = {
        "labeled": 4,
        "batch_size": 2,
        "crop_size": (16, 16),
        "num_workers": 0,
        "num_views": 2,
        "seed": 0,
    }
    return SegmentationData(Folder(str(root), unlabeled), **{**defaults, **options})


def batches(data, count):
    """The first batches of training."""
    return take(data.train_dataloader(), count, data.num_workers)


def take(loader, count, num_workers=0):
    """The first batches of a loader, whose worker processes end whatever happens.

    Left to the garbage collector, which an error's traceback leads to, each of them takes 5 s.
    """
    iterator = iter(loader)
    try:
        return list(islice(iterator, count))
    finally:
        if num_workers:
            iterator._shutdown_workers()


def flat(batch):
    """All tensors of a batch."""
    return [*batch.labeled, *batch.unlabeled.views, batch.unlabeled.valid]


def ids(records):
    return [record.id for record in records]


def use(root, **options):
    """All that a run does with its data: look at it, train on it, validate on it."""
    few = root.parent / "few.txt"
    few.write_text("a0\na1\na2\na3\n")
    options = {"labeled": str(few), "scale": (1.0, 1.0), **options}
    data = data_of(options.pop("folder", root), **options)
    data.setup("fit")
    batches(data, 8)
    list(data.val_dataloader())


def error_of(root, **options):
    with pytest.raises(UserError) as caught:
        use(root, **options)
    assert type(caught.value) is UserError
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) > 20
    return message


def options(**given):
    return lambda root: given


def deep_tree(root, dtype, scale):
    """The drawn photographs as TIFF of 16 bits or of floats, two bands."""
    draw_tree(root)
    for path in [*root.glob("*/images/*.png"), *root.glob("unlabeled/*.png")]:
        grey = np.array(Image.open(path))[..., 0].astype(np.float64)
        bands = np.stack((scale * grey, scale * (300 - grey)), -1).astype(dtype)
        how = {"photometric": "minisblack", "planarconfig": "contig"}
        tifffile.imwrite(path.with_suffix(".tif"), bands, **how)
        path.unlink()
    return root


def scenes(source, split, count=12):
    records = source.records(split)[:count]
    return [(source.read_image(r), source.read_mask(r)) for r in records]
