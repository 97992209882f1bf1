"""The corrected copy passes, holds what can be saved, and the original stays as it was."""

import json
from functools import partial

import numpy as np
import pytest
import tifffile
from PIL import Image

import ssseg
from ssseg.cli.main import main
from ssseg.data.datasets import Street, source_class
from ssseg.data.datasets.folder import Folder
from ssseg.data.module import SegmentationData
from ssseg.errors import UserError
from tests.data.datasets.test_camvid import COLORS as CAMVID_COLORS
from tests.data.official_trees import draw_camvid, draw_cityscapes, draw_context, draw_voc
from tests.data.trees import CLASSES, draw_pair, draw_tree, paint, save, write_classes
from tests.datacheck.faults import (
    contents,
    examined,
    exif_photo,
    finding,
    kinds,
    mask,
    read,
    truncate,
    with_palette,
)

COLORS = [(0, 0, 200), (120, 120, 120), (200, 0, 0)]


def ruin(root):
    """A tree in which nearly everything is wrong that can be."""
    draw_tree(root, train=20, val=4, test=2, unlabeled=6)
    classes = [{"name": n, "color": c} for n, c in zip(CLASSES, COLORS, strict=True)]
    write_classes(root, {"classes": classes, "ignore": [[9, 9, 9]]})
    images, masks, val = root / "train" / "images", root / "train" / "masks", root / "val"
    (images / "a0.png").write_bytes(b"")
    truncate(images / "a1.png")
    truncate(masks / "a2.png")
    (masks / "a3.png").unlink()
    colors = np.array(COLORS, np.uint8)[mask(4)]
    colors[0, :4] = (9, 9, 9)
    colors[1, :4] = (1, 2, 3)
    save(colors, masks / "a4.png")
    strange = mask(5)
    strange[2:5, 2:5] = 7
    save(strange, masks / "a5.png")
    save(mask(6).repeat(2, 0).repeat(2, 1), masks / "a6.png")  # twice the size
    save(mask(7, (24, 30)), masks / "a7.png")
    (images / "a8.png").unlink()
    exif_photo(mask(8, (32, 24)), images / "a8.jpg", 6)
    save(np.rot90(mask(8, (32, 24))).copy(), masks / "a8.png")
    save(np.full((24, 32), 255, np.uint8), masks / "a9.png")
    save(np.full((24, 32), 3000, np.uint16), images / "a10.png")
    (images / "a11.png").write_bytes((val / "images" / "a0.png").read_bytes())
    (masks / "a12.png").rename(masks / "a12.jpg")
    save(mask(13).astype(np.uint16) * 300, masks / "a13.png")
    save(mask(0), masks / "lonely.png")
    save(paint(mask(1)), images / "a14.jpg")
    (root / "unlabeled" / "u0.png").write_bytes((root / "test/images/a1.png").read_bytes())
    (root / "unlabeled" / "u1.png").write_bytes(b"no image")
    (root / "unlabeled" / "a3.png").write_bytes((images / "a19.png").read_bytes())
    save(mask(0, (10, 10)), val / "masks" / "a3.png")
    return root


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_ruin_becomes_a_data_set(tmp_path, capsys):
    root, out = ruin(tmp_path / "photos"), tmp_path / "fixed"
    before = contents(root)
    code, report = examined(capsys, root, "--fix", out)
    assert code == 0
    assert not report["verdict"]["ok"]
    assert report["verdict"]["errors"] > 8
    assert contents(root) == before, "the original was changed"

    again_code, again = examined(capsys, out)
    assert again_code == 0
    assert again["verdict"]["errors"] == 0
    assert report["fix"]["folder"] == str(out)
    assert report["fix"]["report"] == again
    data = SegmentationData(Folder(str(out)), batch_size=2, crop_size=(16, 16), num_workers=0)
    data.prepare("fit", 1)
    data.prepare("test", 0)

    kept = [4, 5, 6, 8, 13, 15, 16, 17, 18, 19]
    ending = {8: "jpg"}
    train = out / "train"
    assert names(train / "masks") == sorted(f"a{i}.png" for i in kept)
    assert names(train / "images") == sorted(f"a{i}.{ending.get(i, 'png')}" for i in kept)
    for path in (train / "images").iterdir():
        assert path.read_bytes() == (root / "train" / "images" / path.name).read_bytes()
    moved = ["a12.png", "a14-2.png", "a14.jpg", "a2.png", "a3-2.png", "a3-3.png"]
    moved += ["a3.png", "a7.png", "a9.png"]
    assert names(out / "unlabeled") == sorted([*moved, "u2.png", "u3.png", "u4.png", "u5.png"])
    assert names(out / "val" / "masks") == ["a0.png", "a1.png", "a2.png"]
    assert names(out / "test" / "images") == ["a0.png", "a1.png"]
    assert not any(path.is_symlink() for path in out.rglob("*"))

    expected = mask(4)
    expected[:2, :4] = 255  # a colour of ignore, and one of no class
    assert (read(train / "masks" / "a4.png") == expected).all()
    expected = mask(5)
    expected[2:5, 2:5] = 255
    assert (read(train / "masks" / "a5.png") == expected).all()
    assert (read(train / "masks" / "a6.png") == mask(6)).all()
    assert (read(train / "masks" / "a8.png") == mask(8, (32, 24))).all()
    assert (read(train / "masks" / "a13.png") == np.where(mask(13) == 0, 0, 255)).all()
    assert (read(train / "masks" / "a16.png") == read(root / "train/masks/a16.png")).all()
    with Image.open(train / "masks" / "a16.png") as image:
        assert image.mode == "P"
        assert image.getpalette()[:9] == [value for color in COLORS for value in color]
    content = json.loads((out / "classes.json").read_text())
    assert content == {
        "classes": [{"name": n, "color": list(c)} for n, c in zip(CLASSES, COLORS, strict=True)]
    }

    said = {
        " ".join(done["text"].split("(")[0].split()): done["files"]
        for done in report["fix"]["done"]
    }
    assert said["2 images left out, because val or test contains the same image"] == [
        "train/images/a11.png",
        "unlabeled/u0.png",
    ]
    assert said["1 mask resized to the image"] == ["train/masks/a6.png"]
    assert said["1 mask rotated like the image"] == ["train/masks/a8.png"]
    assert said["1 mask in colour converted to class ids"] == ["train/masks/a4.png"]


def test_the_text_says_what_was_done(tmp_path, capsys):
    root, out = ruin(tmp_path / "photos"), tmp_path / "fixed"
    assert main(["doctor", str(root), "--fix", str(out)]) == 0
    text = capsys.readouterr().out
    assert "mask resized to the image (train/masks/a6.png)" in " ".join(text.split())
    lines = text.splitlines()
    assert f"corrected copy in {out}" in lines
    assert lines[-2:] == [f"ssseg doctor {out}:", "training can start"]


@pytest.mark.parametrize("splits", [("train", "val"), ("train",), ("val",)])
def test_objects_as_255_become_1(tmp_path, splits):
    root, out = draw_tree(tmp_path / "photos"), tmp_path / "fixed"
    write_classes(root, ["ground", "object"])
    wanted = {}
    for split in ("train", "val"):
        for seed, path in enumerate(sorted((root / split / "masks").iterdir())):
            wanted[split, path.name] = mask(seed, num_classes=2)
            save(np.uint8(255 if split in splits else 1) * mask(seed, num_classes=2), path)
    report = ssseg.doctor(root=root, fix=out)
    assert finding(report, "mask_binary")
    for (split, name), ids in wanted.items():
        assert (read(out / split / "masks" / name) == ids).all()
    assert "mask_binary" not in kinds(report["fix"]["report"])


def test_ids_that_count_from_1_count_from_0(tmp_path):
    root, out = draw_tree(tmp_path / "photos"), tmp_path / "fixed"
    wanted = {}
    for path in [*root.glob("train/masks/*"), *root.glob("val/masks/*")]:
        ids = read(path).copy()
        wanted[path.relative_to(root)] = ids
        ids[0, 0] = 255
        save(np.where(ids == 255, np.uint8(255), ids + np.uint8(1)), path)
    report = ssseg.doctor(root=root, fix=out)
    assert report["fix"]["report"]["verdict"]["ok"]
    for path, ids in wanted.items():
        assert (read(out / path) == ids).all()


@pytest.mark.parametrize(
    ("names", "values", "said"),
    [
        (["red", "green"], [0, 1, 2], "0, 1 and 2, but 2 classes have the ids 0 to 1"),
        (["background", "red", "green"], [1, 2, 4], "1, 2 and 4, but 3 classes"),
        (["background", "red", "green"], [0, 100, 200], "0, 100 and 200, but 3 classes"),
    ],
    ids=["0 is no class", "a gap", "in hundreds"],
)
def test_values_that_may_mean_this_or_that_are_not_copied(tmp_path, names, values, said):
    root, out = draw_tree(tmp_path / "photos"), tmp_path / "fixed"
    write_classes(root, names)
    for path in root.glob("*/masks/*"):
        save(np.array(values, np.uint8)[read(path)], path)
    with pytest.raises(UserError, match="option --fix: masks hold the values") as caught:
        ssseg.doctor(root=root, fix=out)
    for word in (said, '"ignore": [0]', f'"name": "{names[0]}", "id": 1'):
        assert word in str(caught.value)
    assert not out.exists()


def test_ids_and_ignored_values_of_the_class_list_are_kept(tmp_path):
    """0 = nothing, 1 = red, 2 = green: as soon as it is said, it is right."""
    root, out = draw_tree(tmp_path / "photos"), tmp_path / "fixed"
    classes = [{"name": "red", "id": 1}, {"name": "green", "id": 2}]
    write_classes(root, {"classes": classes, "ignore": [0]})
    wanted = {
        path.relative_to(root): np.array([255, 0, 1], np.uint8)[read(path)]
        for path in root.glob("*/masks/*")
    }
    report = ssseg.doctor(root=root, fix=out)
    assert report["verdict"]["ok"]
    assert [c["name"] for c in json.loads((out / "classes.json").read_text())["classes"]] == [
        "red",
        "green",
    ]
    for path, ids in wanted.items():
        assert (read(out / path) == ids).all()
    assert "converted to indices into the class list" in report["fix"]["done"][0]["text"]
    source = Folder(str(root))
    record = source.records("val")[0]
    assert (source.read_mask(record) == wanted[record.mask.relative_to(root)]).all()


def test_a_source_in_memory_becomes_a_folder(tmp_path, capsys):
    options = {"train_images": 24, "val_images": 3, "test_images": 2, "size": 32}
    args = [word for name, value in options.items() for word in (f"--data.{name}", str(value))]
    out = tmp_path / "scenes"
    code, report = examined(capsys, "--data", "street", *args, "--labeled", "10", "--fix", out)
    assert code == 0
    source, copy = Street(**options), Folder(str(out))
    assert [c.name for c in copy.classes] == [c.name for c in source.classes]
    number = {name: found["images"] for name, found in report["fix"]["report"]["sets"].items()}
    assert number == {"labeled": 10, "unlabeled": 14, "val": 3, "test": 2}
    for split in ("val", "test"):
        for ours, theirs in zip(copy.records(split), source.records(split), strict=True):
            assert (copy.read_image(ours) == source.read_image(theirs)).all()
            assert (copy.read_mask(ours) == source.read_mask(theirs)).all()


@pytest.mark.parametrize("pixels", ["uint16", "float"])
@pytest.mark.parametrize("channels", [1, 2, 3, 5])
def test_values_of_other_kinds_survive(tmp_path, monkeypatch, pixels, channels):
    (tmp_path / "deep_source.py").write_text(
        "import numpy as np\n"
        "from ssseg.data.datasets.base import ClassInfo, Record, Source\n\n\n"
        "class Deep(Source):\n"
        "    name, classes = 'deep', [ClassInfo('a', (1, 1, 1)), ClassInfo('b', (1, 1, 1))]\n\n"
        "    def __init__(self, pixels: str, in_channels: int) -> None:\n"
        "        self.pixels, self.in_channels = pixels, in_channels\n\n"
        "    def records(self, split):\n"
        "        return [Record(f'{split}/{i}', i, i) for i in range(4 * (split != 'test'))]\n\n"
        "    def read_image(self, record):\n"
        "        rng = np.random.default_rng(sum(record.id.encode()))\n"
        "        values = rng.integers(0, 65536, (32, 40, self.in_channels))\n"
        "        scale = 65535 if self.pixels == 'uint16' else -100\n"
        "        return (values / scale).astype(np.float32)\n\n"
        "    def read_mask(self, record):\n"
        "        return np.eye(32, 40, record.image - 2).astype(np.uint8)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    from deep_source import Deep

    out = tmp_path / "deep"
    options = {"pixels": pixels, "in_channels": channels}
    report = ssseg.doctor("deep_source.Deep", method="supervised", fix=out, **options)
    assert report["fix"]["report"]["verdict"]["ok"]
    copy, source = Folder(str(out)), Deep(**options)
    assert (copy.pixels, copy.in_channels) == (pixels, channels)
    for ours, theirs in zip(copy.records("train"), source.records("train"), strict=True):
        assert np.array_equal(copy.read_image(ours), source.read_image(theirs))
        assert np.array_equal(copy.read_mask(ours), source.read_mask(theirs))
    # two classes of one colour: a colour means one class
    assert json.loads((out / "classes.json").read_text())["classes"] == [
        {"name": "a"},
        {"name": "b"},
    ]


OFFICIAL = {
    "voc": draw_voc,
    "cityscapes": draw_cityscapes,
    "context": partial(draw_context, form="mat"),
    "camvid": partial(draw_camvid, colors=CAMVID_COLORS),
}


@pytest.mark.parametrize("name", OFFICIAL)
def test_official_trees_become_folders(tmp_path, name):
    home = OFFICIAL[name](tmp_path / "official")
    before, out = contents(home), tmp_path / "folder"
    options = {"labeled": "all", "method": "supervised", "batch_size": 1, "fix": out}
    report = ssseg.doctor(name, root=home, **options)
    assert report["verdict"]["ok"]
    assert report["fix"]["report"]["verdict"]["ok"]
    assert contents(home) == before
    source, copy = source_class(name)(str(home)), Folder(str(out))
    assert [info.name for info in copy.classes] == [info.name for info in source.classes]
    colors = [info.color for info in source.classes]
    for our, color in zip(copy.classes, colors, strict=True):
        assert our.color == color or colors.count(color) > 1
    for split in ("train", "val", "test"):
        ours = {record.id: record for record in copy.records(split)}
        theirs = {record.id.replace("/", "_"): record for record in source.records(split)}
        assert set(ours) == set(theirs)
        for key, record in ours.items():
            assert (copy.read_image(record) == source.read_image(theirs[key])).all()
            assert (copy.read_mask(record) == source.read_mask(theirs[key])).all()


def test_only_masks_of_labeled_images_go_along(tmp_path):
    """What --labeled leaves out is unlabeled in the copy, and its mask was not opened."""
    root, out = draw_tree(tmp_path / "photos"), tmp_path / "fixed"
    first = ssseg.doctor(root=root, labeled=4, fix=out)
    assert first["fix"]["report"]["sets"]["labeled"]["images"] == 4
    assert first["fix"]["report"]["sets"]["unlabeled"]["images"] == 4 + 4


@pytest.mark.parametrize("inside", [".", "unlabeled/copy", "../other"])
def test_the_copy_never_goes_where_something_is(tmp_path, capsys, inside):
    root = draw_tree(tmp_path / "photos")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").write_text("precious")
    before = contents(tmp_path)
    assert main(["doctor", str(root), "--fix", str(root / inside)]) == 2
    assert "option --fix" in capsys.readouterr().err
    assert contents(tmp_path) == before


def test_nothing_to_train_on_is_no_copy(tmp_path, capsys):
    root = draw_tree(tmp_path / "photos")
    for path in (root / "train" / "masks").iterdir():
        path.write_bytes(b"")
    assert main(["doctor", str(root), "--fix", str(tmp_path / "fixed")]) == 2
    assert "nothing to copy" in capsys.readouterr().err
    assert not (tmp_path / "fixed").exists()
    (root / "classes.json").unlink()
    assert main(["doctor", str(root), "--fix", str(tmp_path / "fixed")]) == 2
    assert "write classes.json first" in capsys.readouterr().err


def test_a_healthy_copy_is_the_same_data(tmp_path):
    root, out = draw_tree(tmp_path / "photos", test=2), tmp_path / "copy"
    draw_pair(root, "train", "Ä ö.b", np.random.default_rng(9))
    with_palette(mask(3), COLORS, root / "train" / "masks" / "a3.png")
    tifffile.imwrite(root / "train" / "images" / "t.tif", paint(mask(2)), photometric="rgb")
    save(mask(2), root / "train" / "masks" / "t.png")
    report = ssseg.doctor(root=root, fix=out)
    assert report["verdict"]["ok"]
    assert report["fix"]["done"] == []
    ours, theirs = Folder(str(out)), Folder(str(root))
    for split in ("train", "val", "test"):
        assert [r.id for r in ours.records(split)] == [r.id for r in theirs.records(split)]
        for our, their in zip(ours.records(split), theirs.records(split), strict=True):
            assert (ours.read_image(our) == theirs.read_image(their)).all()
            assert (ours.read_mask(our) == theirs.read_mask(their)).all()
    assert [r.id for r in ours.unlabeled()] == [r.id for r in theirs.unlabeled()]
