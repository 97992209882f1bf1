import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from ssseg.data.datasets import DATASETS, source_class
from ssseg.data.datasets.base import Source
from ssseg.data.datasets.class_list import default_color
from ssseg.data.datasets.folder import Folder
from ssseg.data.datasets.objects import Objects
from ssseg.data.datasets.street import Street
from ssseg.errors import UserError
from tests.data.trees import (
    data_of,
    draw_mask,
    draw_pair,
    draw_tree,
    ids,
    paint,
    save,
    write_classes,
)

DRAWN = pytest.mark.parametrize("cls", [Street, Objects])


def scenes(source, split, count=12):
    records = source.records(split)[:count]
    return [(source.read_image(r), source.read_mask(r)) for r in records]


def equal(first, second):
    return all(
        np.array_equal(a, b)
        for one, two in zip(first, second, strict=True)
        for a, b in zip(one, two, strict=True)
    )


@DRAWN
@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_a_scene_is_a_function_of_split_and_index(cls, split):
    expected = scenes(cls(), split)
    # another object with other counts, read backwards
    other = cls(train_images=12, val_images=13, test_images=14)
    for record in reversed(other.records(split)[:12]):
        other.read_mask(record)
    assert equal(scenes(other, split), expected)


@DRAWN
def test_no_scene_comes_twice(cls):
    source = cls()
    seen = [
        image.tobytes() for split in ("train", "val", "test") for image, _ in scenes(source, split)
    ]
    assert len(set(seen)) == len(seen)


def test_street_and_objects_differ():
    for (street, _), (objects, _) in zip(
        scenes(Street(), "train"), scenes(Objects(), "train"), strict=True
    ):
        assert not np.array_equal(street, objects)


@DRAWN
def test_scenes_are_images_with_class_ids(cls):
    source = cls()
    seen = np.zeros(source.num_classes, int)
    for image, mask in scenes(source, "train", 60):
        assert image.shape == (64, 64, 3)
        assert image.dtype == np.uint8
        assert image.std() > 5  # something is to be seen
        assert mask.shape == (64, 64)
        assert mask.dtype == np.uint8
        assert mask.max() < source.num_classes
        seen += np.bincount(mask.ravel(), minlength=source.num_classes) > 0
    assert (seen >= 5).all(), dict(zip([c.name for c in source.classes], seen, strict=True))


@DRAWN
def test_drawing_leaves_global_random_states_alone(cls, global_states):
    scenes(cls(), "train")
    assert global_states()


@DRAWN
@pytest.mark.parametrize("size", [16, 33, 96])
def test_other_sizes(cls, size):
    source = cls(size=size)
    assert source.crop_size == (size, size)
    for image, mask in scenes(source, "val", 4):
        assert image.shape == (size, size, 3)
        assert mask.shape == (size, size)


@DRAWN
def test_records_of_drawn_scenes(cls):
    source = cls(train_images=20, val_images=3, test_images=0)
    assert [len(source.records(split)) for split in ("train", "val", "test")] == [20, 3, 0]
    assert len(set(ids(source.records("train") + source.records("val")))) == 23
    assert source.records("train") == source.records("train")
    assert source.unlabeled() == []
    assert source.num_classes == len({c.name for c in source.classes})
    assert len({c.color for c in source.classes}) == source.num_classes


def test_names_of_data_sets():
    for name in DATASETS:
        assert issubclass(source_class(name), Source)
    assert source_class("tests.data.datasets.test_datasets.Mine") is Mine


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("stret", "did you mean 'street'"),
        ("cityscape", "did you mean 'cityscapes'? (known: camvid, cityscapes, context, folder,"),
        ("no.such.module", "no data set at 'no.such.module'"),
        ("tests.data.trees.SIZE", "expected a class"),
        ("tests.data.trees.Nothing", "no data set at"),
    ],
)
def test_unknown_data_sets(name, said):
    with pytest.raises(UserError) as caught:
        source_class(name)
    assert repr(name) in str(caught.value)
    assert said in str(caught.value)


def test_the_names_are_known_without_torch():
    code = "import sys, ssseg.data.datasets as d; list(d.DATASETS); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


class Mine(Street):
    """A user's own data set."""


def test_a_folder_is_read(tree):
    source = Folder(str(tree))
    assert source.name == "photos"
    assert [c.name for c in source.classes] == ["sky", "road", "car"]
    assert source.in_channels == 3
    assert ids(source.records("train")) == [f"a{i}" for i in range(8)]
    assert ids(source.records("val")) == ["a0", "a1", "a2"]
    assert source.records("test") == []
    assert ids(source.unlabeled()) == ["u0.png", "u1.png", "u2.png", "u3.png"]
    for record in source.records("train") + source.records("val"):
        image, mask = source.read_image(record), source.read_mask(record)
        assert image.dtype == mask.dtype == np.uint8
        np.testing.assert_array_equal(image, paint(mask))
    source.check(source.records("train") + source.unlabeled())


def test_validation_and_test_are_optional(tmp_path):
    source = Folder(str(draw_tree(tmp_path, val=0, unlabeled=0)))
    assert source.records("val") == source.records("test") == source.unlabeled() == []
    source = Folder(str(draw_tree(tmp_path, test=2)))
    assert ids(source.records("test")) == ["a0", "a1"]


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


@pytest.mark.parametrize("ending", [".jpg", ".JPG", ".jpeg", ".png", ".bmp", ".tif", ".webp"])
def test_endings(tmp_path, ending):
    root = draw_tree(tmp_path, train=2, val=0, unlabeled=1, ending=ending)
    source = Folder(str(root))
    record = source.records("train")[0]
    assert record.id == "a0"
    expected = paint(source.read_mask(record)).astype(int)
    assert np.abs(source.read_image(record) - expected).mean() < 8  # some formats lose a little
    assert len(source.unlabeled()) == 1


def test_names_with_spaces_dots_and_letters_of_all_kinds(tmp_path):
    root = tmp_path / "meine Straße (1)"
    write_classes(root, ["sky", "road", "car"])
    names = ["a photo [2]", "straße", "v1.2.final", "東京 7"]
    for name in names:
        draw_pair(root, "train", name, np.random.default_rng(1))
        save(np.zeros((8, 8, 3), np.uint8), root / "unlabeled" / "año 1" / f"{name}.jpg")
    source = Folder(str(root))
    assert source.name == "meine Straße (1)"
    assert ids(source.records("train")) == sorted(names)
    assert len(source.unlabeled()) == 4
    source.check(source.records("train") + source.unlabeled())


def test_unlabeled_folders_are_searched_with_their_subfolders(tree, tmp_path):
    more = tmp_path / "more"
    for name in ("b.jpg", "2024/05/c.jpg", "2024/06/c.JPG"):
        save(np.zeros((8, 8, 3), np.uint8), more / name)
    (more / "notes.txt").write_text("no photograph")
    others = tmp_path / "others"
    save(np.zeros((8, 8, 3), np.uint8), others / "d.png")
    own = ["u0.png", "u1.png", "u2.png", "u3.png"]
    found = ["2024/05/c.jpg", "2024/06/c.JPG", "b.jpg"]
    assert ids(Folder(str(tree), str(more)).unlabeled()) == own + found
    assert ids(Folder(str(tree), [str(more), str(others)]).unlabeled()) == [*own, *found, "d.png"]


def test_the_own_unlabeled_folder_may_be_named_without_coming_twice(tree):
    for name in (str(tree / "unlabeled"), str(tree / "train" / ".." / "unlabeled")):
        assert len(Folder(str(tree), name).unlabeled()) == 4


def test_files_that_file_managers_and_notebooks_leave_are_no_photographs(tree):
    for path in ("train/images/._a0.jpg", "unlabeled/._u1.png", "train/masks/._a0.png"):
        (tree / path).write_bytes(b"Mac OS X")
    hidden = tree / "unlabeled" / ".ipynb_checkpoints" / "u0-checkpoint.png"
    save(np.zeros((8, 8, 3), np.uint8), hidden)
    for name in ("train/images/Thumbs.db", "train/images/list.txt", "unlabeled/.DS_Store"):
        (tree / name).write_bytes(b"")
    (tree / "train" / "images" / "folder.png").mkdir()
    source = Folder(str(tree))
    assert len(source.records("train")) == 8
    assert len(source.unlabeled()) == 4
    source.check(source.records("train") + source.unlabeled())


def test_hidden_folders_above_the_data_do_not_matter(tmp_path):
    root = draw_tree(tmp_path / ".cache" / "photos")
    assert len(Folder(str(root)).records("train")) == 8
    assert len(Folder(str(root)).unlabeled()) == 4


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


def test_classes_as_a_list_of_names_and_as_objects(tree):
    write_classes(tree, ["sky", "road", "car"])
    plain = Folder(str(tree)).classes
    assert [c.name for c in plain] == ["sky", "road", "car"]
    assert len({c.color for c in plain}) == 3
    entries = [
        {"id": 0, "name": "sky", "color": [70, 130, 180]},
        {"name": "road", "pixels": 0.3},
        {"id": 2, "name": "car", "color": [0, 0, 142]},
    ]
    write_classes(tree, {"name": "mine", "classes": entries})
    full = Folder(str(tree)).classes
    assert [c.name for c in full] == ["sky", "road", "car"]
    assert [full[0].color, full[2].color] == [(70, 130, 180), (0, 0, 142)]
    assert full[1].color == plain[1].color
    write_classes(tree, [*entries[:2], "car"])
    assert Folder(str(tree)).classes == [*full[:2], plain[2]]


def test_classes_written_by_a_windows_editor(tree):
    text = '["cielo", "calle", "coche año"]'
    (tree / "classes.json").write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert [c.name for c in Folder(str(tree)).classes] == ["cielo", "calle", "coche año"]


def test_default_colors_are_distinct():
    for count in (1, 2, 3, 7, 11, 19, 21, 59, 150, 171, 255):
        colors = {default_color(place, count) for place in range(count)}
        assert len(colors) == count
        assert all(0 <= c <= 255 for color in colors for c in color)
    # few classes must be told apart by eye
    colors = np.array([default_color(place, 8) for place in range(8)])
    distances = np.abs(colors[:, None] - colors[None]).sum(2)
    assert distances[~np.eye(8, dtype=bool)].min() > 60


def test_255_classes(tree):
    write_classes(tree, [f"class {i}" for i in range(255)])
    assert Folder(str(tree)).num_classes == 255


def test_camvid(camvid):
    data = data_of(camvid, labeled="1/8", image_size=(90, 120), crop_size=(64, 64))
    source = data.source
    assert [len(source.records(split)) for split in ("train", "val", "test")] == [367, 101, 233]
    assert source.num_classes == 11
    assert source.in_channels == 3
    assert (len(data.split.labeled), len(data.unlabeled)) == (46, 321)
    data.setup("fit")
    batch = next(iter(data.train_dataloader()))
    assert batch.labeled.image.shape == (2, 3, 64, 64)
    (image, label), *_ = next(iter(data.val_dataloader()))
    assert image.shape == (8, 3, 90, 120)
    assert label.shape == (8, 360, 480)
