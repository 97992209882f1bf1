"""Every fault is found, with the right file and how much it matters."""

import shutil

import numpy as np
import pytest
import tifffile
from PIL import Image

import ssseg
from ssseg.errors import UserError
from tests.data.datasets.test_folder import CASES as REFUSED
from tests.data.datasets.test_folder import use
from tests.data.trees import draw_tree, paint, save, write_classes
from tests.datacheck.faults import (
    COLORS,
    colored,
    exif_photo,
    finding,
    kinds,
    mask,
    swap,
    truncate,
    with_palette,
)

ALL_MASKS = [f"train/masks/a{i}.png" for i in range(8)] + [f"val/masks/a{i}.png" for i in range(3)]


def binary(*splits, value=255):
    """Masks of two classes as image editors write them."""

    def spoil(root):
        write_classes(root, ["ground", "object"])
        for split in ("train", "val"):
            high = value if split in splits else 1
            for seed, path in enumerate(sorted((root / split / "masks").iterdir())):
                save(np.uint8(high) * mask(seed, num_classes=2), path)

    return spoil


def cut_jpeg(path):
    """The header is whole and the first lines are there: only full decoding can tell."""

    def spoil(root):
        noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
        if "train" in path:
            (root / path).with_suffix(".png").unlink()
            save(mask(0, (64, 64)), root / path.replace("images", "masks").replace("jpg", "png"))
        save(noise, root / path)
        truncate(root / path)

    return spoil


def from_one(root):
    for path in ALL_MASKS:
        with Image.open(root / path) as image:
            save(np.asarray(image) + np.uint8(1), root / path)


def ignored(root):
    for i in range(8):
        ids = mask(i)
        ids[:16] = 255
        save(ids, root / "train" / "masks" / f"a{i}.png")


def float_image(root):
    """All images are floats, and one holds a value that is none."""
    paths = [*root.glob("*/images/*.png"), *root.glob("unlabeled/*.png")]
    for seed, path in enumerate(sorted(paths)):
        path.unlink()
        values = np.random.default_rng(seed).normal(size=(24, 32, 3)).astype(np.float32)
        if path.stem == "a2":
            values[5, 5] = np.nan
        tifffile.imwrite(path.with_suffix(".tif"), values, photometric="rgb")


def copy(source, target):
    return lambda root: shutil.copy(root / source, root / target)


def palettes(root):
    for i in range(8):
        turned = COLORS[::-1] if i == 5 else COLORS
        with_palette(mask(i), turned, root / "train" / "masks" / f"a{i}.png")


def lonely(root):
    save(mask(), root / "train" / "masks" / "b9.png")


def turned(orientation, upright):
    """A photograph taken sideways; its mask was drawn on the stored or on the displayed image."""

    def spoil(root):
        ids = mask(3, (32, 24)) if orientation == 6 else mask(3)
        (root / "train" / "images" / "a1.png").unlink()
        exif_photo(ids, root / "train" / "images" / "a1.jpg", orientation)
        save(ids if upright else np.rot90(ids).copy(), root / "train" / "masks" / "a1.png")

    return spoil


def sparse(root):
    """The third class is in the masks of neither val nor the labeled images."""
    for path in ALL_MASKS:
        save(mask(1, num_classes=2), root / path)


def write(path, content=b""):
    return lambda root: (root / path).write_bytes(content)


CASES = {
    # what was done to the tree; kind, severity, files (None: those do not matter), words
    "empty image": (write("train/images/a2.png"), "image_empty", "error", ["train/images/a2.png"]),
    "empty unlabeled image": (
        write("unlabeled/u1.png"),
        *("image_empty", "error", ["unlabeled/u1.png"]),
    ),
    "image cut off": (
        cut_jpeg("train/images/a2.jpg"),
        *("image_unreadable", "error", ["train/images/a2.jpg"], "to the end"),
    ),
    "unlabeled image cut off": (
        cut_jpeg("unlabeled/x.jpg"),
        *("image_unreadable", "error", ["unlabeled/x.jpg"]),
    ),
    "image that is text": (
        write("val/images/a0.png", b"no image"),
        *("image_unreadable", "error", ["val/images/a0.png"]),
    ),
    "image of 16 bits": (
        lambda root: save(np.full((24, 32), 900, np.uint16), root / "unlabeled" / "u1.png"),
        *("image_kind", "error", ["unlabeled/u1.png"], "16-bit values instead of 8-bit"),
    ),
    "first image of 16 bits": (
        lambda root: swap(root, "a0", np.full((24, 32), 900, np.uint16)),
        *("image_kind", "error", ["train/images/a0.png"], "16-bit values instead of 8-bit"),
    ),
    "image of five channels": (
        lambda root: tifffile.imwrite(
            root / "unlabeled" / "x.tif",
            np.zeros((24, 32, 5), np.uint8),
            photometric="minisblack",
            planarconfig="contig",
        ),
        *("image_channels", "error", ["unlabeled/x.tif"], "5 channels instead of 3"),
    ),
    "value that is no number": (
        float_image,
        *("image_refused", "error", ["train/images/a2.tif", "val/images/a2.tif"], "NaN"),
    ),
    "grey among colours": (
        lambda root: swap(root, "a4", paint(mask())[..., 0]),
        *("image_converted", "note", ["train/images/a4.png"], "1 channel instead of 3"),
    ),
    "first image grey": (
        lambda root: swap(root, "a0", paint(mask())[..., 0]),
        *("image_first_is_odd", "warning", None, "--data.channels 3"),
    ),
    "empty mask": (write("val/masks/a1.png"), "mask_empty", "error", ["val/masks/a1.png"]),
    "mask cut off": (
        lambda root: truncate(root / "train" / "masks" / "a2.png"),
        *("mask_unreadable", "error", ["train/masks/a2.png"], "move the image to unlabeled/"),
    ),
    "mask of floats": (
        lambda root: [
            (root / "train" / "masks" / "a2.png").unlink(),
            tifffile.imwrite(root / "train" / "masks" / "a2.tif", np.zeros((24, 32), np.float32)),
        ],
        *("mask_refused", "error", ["train/masks/a2.tif"], "1 channels of float32"),
    ),
    "mask in colour without colours": (
        lambda root: save(paint(mask()), root / "train" / "masks" / "a2.png"),
        *("mask_colored", "error", ["train/masks/a2.png"], 'give each class its "color"'),
    ),
    "colour of no class": (
        colored("train/masks/a2.png", "val/masks/a1.png", odd=(1, 2, 3)),
        "mask_unknown_colors",
        "error",
        ["train/masks/a2.png", "val/masks/a1.png"],
        "[1, 2, 3] in 2 masks",
    ),
    "value of no class": (
        lambda root: [
            save(np.where(mask() == 2, np.uint8(value), mask()), root / f"train/masks/{name}.png")
            for name, value in (("a2", 7), ("a3", 7), ("a5", 9))
        ],
        "mask_values",
        "error",
        [f"train/masks/{name}.png" for name in ("a2", "a3", "a5")],
        "7 in 2 masks and 9 in 1 mask",
    ),
    "ids from 1": (from_one, "mask_values", "error", ALL_MASKS, "subtract 1"),
    "mask of another size": (
        lambda root: save(mask(0, (24, 30)), root / "train" / "masks" / "a2.png"),
        *("mask_size", "error", ["train/masks/a2.png"], "32 x 24 with a mask of 30 x 24"),
    ),
    "mask not turned": (
        turned(6, upright=False),
        *("mask_rotation", "error", ["train/masks/a1.png"], "rotate the mask too"),
    ),
    "image upside down": (
        turned(3, upright=True),
        *("image_mirrored", "note", ["train/images/a1.png".replace("png", "jpg")]),
    ),
    "image without mask": (
        lambda root: (root / "train" / "masks" / "a2.png").unlink(),
        *("mask_missing", "error", ["train/images/a2.png"], "move images without masks"),
    ),
    "JPEG mask": (
        lambda root: (root / "train/masks/a2.png").rename(root / "train/masks/a2.jpg"),
        *("mask_lossy", "error", ["train/images/a2.png"], "save masks as PNG"),
    ),
    "mask without image": (lonely, "mask_without_image", "note", ["train/masks/b9.png"]),
    "two images of one name": (
        lambda root: save(paint(mask()), root / "train" / "images" / "a2.jpg"),
        *("names_twice", "error", ["train/images/a2.jpg", "train/images/a2.png"]),
    ),
    "object as 255": (
        binary("train", "val"),
        *("mask_binary", "error", ALL_MASKS, "write 1 instead of 255"),
    ),
    "object as 255 in val": (binary("val"), "mask_binary", "warning", ALL_MASKS[8:]),
    "nothing labeled": (
        lambda root: [save(np.full((24, 32), 255, np.uint8), root / m) for m in ALL_MASKS[:8]],
        *("nothing_labeled", "error", ALL_MASKS[:8], "no class can be learned"),
    ),
    "one class labeled": (
        lambda root: [save(np.ones((24, 32), np.uint8), root / m) for m in ALL_MASKS[:8]],
        *("one_class_labeled", "error", ALL_MASKS[:8], "only the class 'road'"),
    ),
    "one class in the list": (
        lambda root: write_classes(root, ["crack"]),
        *("classes", "error", ["classes.json"], "one class, 'crack'"),
    ),
    "ids that may count from 1": (
        lambda root: write_classes(root, ["road", "car"]),
        *("mask_values", "error", ALL_MASKS, '"id" in classes.json'),
    ),
    "value that explicit ids do not name": (
        lambda root: write_classes(
            root, {"classes": [{"name": n, "id": i} for n, i in (("a", 1), ("b", 2))]}
        ),
        *("mask_values", "error", None, "namely 0 in ", "names the values 1, 2 and 255"),
    ),
    "other palette": (palettes, "mask_palette", "warning", ["train/masks/a5.png"]),
    "mostly ignored": (ignored, "ignore_share", "warning", None, "67% of the pixels"),
    "mask that says nothing": (
        lambda root: save(np.full((24, 32), 255, np.uint8), root / "train" / "masks" / "a2.png"),
        *("mask_blank", "warning", ["train/masks/a2.png"]),
    ),
    "class without example": (sparse, "class_not_labeled", "warning", ["car"]),
    "class that is not in val": (sparse, "class_not_in_val", "warning", ["car"]),
    "labeled image in val": (
        copy("train/images/a3.png", "val/images/a0.png"),
        *("duplicates_labeled_val", "error", ["train/images/a3.png"], "= val/images/a0.png"),
    ),
    "unlabeled image in val": (
        copy("val/images/a0.png", "unlabeled/z.png"),
        *("duplicates_unlabeled_val", "warning", ["unlabeled/z.png"]),
    ),
    "labeled image among the unlabeled": (
        copy("train/images/a3.png", "unlabeled/z.png"),
        *("duplicates_labeled_unlabeled", "warning", ["train/images/a3.png"]),
    ),
    "unlabeled image twice": (
        copy("unlabeled/u0.png", "unlabeled/z.png"),
        *("duplicates_within_unlabeled", "note", ["unlabeled/z.png"]),
    ),
    "no validation images": (lambda root: shutil.rmtree(root / "val"), "no_val", "warning", []),
    "no unlabeled images": (
        lambda root: shutil.rmtree(root / "unlabeled"),
        *("no_unlabeled", "warning", [], "--data.labeled"),
    ),
    "no class list": (
        lambda root: (root / "classes.json").unlink(),
        *("classes", "error", ["classes.json"], "write one"),
    ),
}


@pytest.fixture(scope="module")
def healthy(tmp_path_factory):
    root = draw_tree(tmp_path_factory.mktemp("healthy") / "photos")
    return ssseg.doctor(root=root)


@pytest.mark.parametrize("case", CASES)
def test_a_fault_is_found(tmp_path, healthy, case):
    spoil, kind, severity, files, *words = CASES[case]
    assert kind not in kinds(healthy)
    root = draw_tree(tmp_path / "photos")
    spoil(root)
    report = ssseg.doctor(root=root)
    found = finding(report, kind)
    assert found["severity"] == severity
    if files is not None:
        assert found["files"] == files
    for word in [*words, *(files or [])[:3]]:
        assert word in found["text"]
    assert "\n" not in found["text"]
    assert len(found["text"]) < 500
    others = [f for f in report["findings"] if f["severity"] == "error" and f["kind"] != kind]
    assert not others, "one fault is one error"
    assert report["verdict"]["ok"] == (severity != "error")


OPTIONS = {"root is a file", "unlabeled folder missing"} | {
    name for name, (spoil, _) in REFUSED.items() if spoil.__qualname__.startswith("options.")
}


@pytest.mark.parametrize("case", [name for name in REFUSED if name not in OPTIONS])
def test_what_a_run_refuses_is_an_error(tmp_path, case):
    """The doctor's verdict and the run's own check never disagree."""
    root = draw_tree(tmp_path / "photos")
    given = REFUSED[case][0](root)
    options = given if isinstance(given, dict) else {}
    with pytest.raises(UserError):
        use(root, **options)
    assert not ssseg.doctor(root=root, labeled=options.get("labeled"))["verdict"]["ok"]
