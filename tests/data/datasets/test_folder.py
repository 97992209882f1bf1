"""Bad input ends in one sentence that names the file or option, what was found and expected."""

import shutil

import numpy as np
import pytest
from PIL import Image

from ssseg.data.datasets.folder import Folder
from ssseg.errors import UserError
from ssseg.runs import machine
from tests.data.trees import (
    batches,
    data_of,
    draw_mask,
    draw_pair,
    draw_tree,
    error_of,
    ids,
    options,
    paint,
    save,
    take,
    use,
    write_classes,
)
from tests.data.trees import write_classes as classes

IMAGE, MASK, VAL_MASK = "train/images/a2.png", "train/masks/a2.png", "val/masks/a1.png"


def write(path, content):
    return lambda root: (root / path).write_bytes(content)


def redraw(root, turn, names=("sky", "road", "car"), splits=("train", "val")):
    """Other values in masks, and other names for them."""
    classes(root, list(names))
    for split in splits:
        for seed, path in enumerate(sorted((root / split / "masks").iterdir())):
            save(turn(draw_mask(np.random.default_rng(seed))).astype(np.uint8), path)


def remove(path):
    return lambda root: (root / path).unlink()


def truncate(path):
    def spoil(root):
        content = (root / path).read_bytes()
        (root / path).write_bytes(content[: len(content) // 2])

    return spoil


def spoil_mask(path=MASK, value=7):
    def spoil(root):
        mask = draw_mask(np.random.default_rng(0)).astype(np.uint16)
        mask[3, 3] = value
        save(mask.astype(np.uint8) if value < 256 else mask, root / path)

    return spoil


def empty(path):
    def spoil(root):
        shutil.rmtree(root / path)
        (root / path).mkdir()

    return spoil


def labels(content):
    def spoil(root):
        (root / "list.txt").write_text(content)
        return {"labeled": str(root / "list.txt")}

    return spoil


def named(*entries):
    return lambda root: classes(root, list(entries))


def jpeg_masks(root):
    for path in (root / "train" / "masks").iterdir():
        path.rename(path.with_suffix(".jpg"))


def sixteen_bit(path):
    return lambda root: save(np.full((24, 32), 3000, np.uint16), root / path)


def bomb(root):
    """A header that promises far more pixels than anyone has memory for."""
    path = root / "unlabeled" / "u2.bmp"
    save(np.zeros((8, 8, 3), np.uint8), path)
    content = bytearray(path.read_bytes())
    content[18:26] = (2_000_000).to_bytes(4, "little") * 2
    path.write_bytes(content)


CASES = {
    # what is spoiled, and what the sentence must say
    "no root": (options(folder="no/such/folder"), ["data.root", "no/such/folder", "classes.json"]),
    "root is a file": (
        lambda root: {"folder": str(root / "classes.json")},
        ["data.root is {root}/classes.json", "no such folder"],
    ),
    "no classes.json": (remove("classes.json"), ["there is no {root}/classes.json", "write one"]),
    "JSON with a typo": (
        write("classes.json", b'["sky", "road",]'),
        ["{root}/classes.json is not valid JSON", "line 1", 'expected ["background", "road"]'],
    ),
    "classes.json is no text": (
        write("classes.json", b"\xff\xfe\x00sky"),
        ["{root}/classes.json is not valid JSON", "expected"],
    ),
    "empty class list": (named(), ["{root}/classes.json names no classes", "expected a list"]),
    "no class list": (
        lambda root: classes(root, {"names": ["sky"]}),
        ["{root}/classes.json names no classes", "expected a list"],
    ),
    "classes as a dictionary": (
        lambda root: classes(root, {"classes": {"0": "sky"}}),
        ["{root}/classes.json names no classes", "expected a list"],
    ),
    "too many classes": (
        named(*[f"class {i}" for i in range(256)]),
        ["{root}/classes.json names 256 classes", "at most 255"],
    ),
    "class without a name": (
        named("sky", {"color": [0, 0, 0]}, "car"),
        ["class 1 in {root}/classes.json has no name", "[0, 0, 0]"],
    ),
    "class that is a number": (named("sky", 3), ["class 1 in {root}/classes.json", "3"]),
    "class named twice": (
        named("sky", "road", "sky"),
        ["classes 0 and 2 in {root}/classes.json", "'sky'", "a different name for each class"],
    ),
    "class id out of order": (
        named({"name": "sky", "id": 1}, "road"),
        ["class 'road' in {root}/classes.json has no \"id\"", "give every class its id"],
    ),
    "class id twice": (
        named({"name": "sky", "id": 1}, {"name": "road", "id": 1}, {"name": "car", "id": 0}),
        ["classes 'sky' and 'road' in {root}/classes.json both have the id 1"],
    ),
    "class id below 0": (named({"name": "sky", "id": -1}, "road"), ['no "id"']),
    "class id in words": (
        named({"name": "sky", "id": "one"}, {"name": "road", "id": 2}),
        ["class 'sky' in {root}/classes.json has the id 'one'", "whole number"],
    ),
    "ignored id of a class": (
        lambda root: classes(root, {"classes": ["sky", "road", "car"], "ignore": [0]}),
        ["names 0, which is the id of class 'sky' by its index", '{"name": "sky", "id": 1}'],
    ),
    "ignored colour that is no list": (
        lambda root: classes(root, {"classes": ["sky", "road", "car"], "ignore": [255, 255, 255]}),
        ['"ignore" in {root}/classes.json names 255 twice', "[[255, 255, 255]]"],
    ),
    "value that explicit ids do not name": (
        lambda root: classes(
            root, {"classes": [{"name": n, "id": i} for n, i in (("sky", 1), ("road", 2))]}
        ),
        ["holds the value 0, which {root}/classes.json does not name", "1, 2, 255", '"ignore"'],
    ),
    "one class": (
        named("crack"),
        ["names only one class, 'crack'", '["background", "crack"]'],
    ),
    "masks of 0 and 255": (
        lambda root: redraw(root, lambda ids: np.uint8(255) * (ids > 0), ["ground", "crack"]),
        ["labeled and val hold only 0 and 255", "(train/masks/a0.png", "'crack'", '"id"'],
    ),
    "labeled masks that are ignored": (
        lambda root: redraw(root, lambda ids: np.full_like(ids, 255), splits=("train",)),
        ["all of the 4 labeled masks are ignored (255) in every pixel", "train/masks/a0.png"],
    ),
    "labeled masks of one class": (
        lambda root: redraw(root, lambda ids: np.full_like(ids, 1), splits=("train",)),
        ["the 4 labeled masks hold only the class 'road'", "label images with other classes"],
    ),
    "color out of range": (
        named({"name": "sky", "color": [0, 256, 0]}),
        ["'sky' in {root}/classes.json has color [0, 256, 0]", "three numbers 0..255"],
    ),
    "color in [0, 1]": (
        named({"name": "sky", "color": [0.5, 0.5, 0.5]}),
        ["[0.5, 0.5, 0.5]", "expected three numbers 0..255"],
    ),
    "color of one number": (named({"name": "sky", "color": 7}), ["color 7", "three numbers"]),
    "color of two": (named({"name": "sky", "color": [1, 2]}), ["color [1, 2]", "three numbers"]),
    "color null": (named({"name": "sky", "color": None}), ["color None", "three numbers"]),
    "color in words": (named({"name": "sky", "color": "red"}), ["color 'red'", "three numbers"]),
    "no train folder": (
        lambda root: shutil.rmtree(root / "train"),
        ["no images in {root}/train/images", "expected files ending in .jpg"],
    ),
    "no training images": (
        empty("train/images"),
        ["no images in {root}/train/images", "expected files ending in .jpg"],
    ),
    "no validation images": (
        empty("val/images"),
        ["no images in {root}/val/images", "expected files ending in .jpg"],
    ),
    "image without mask": (
        remove(MASK),
        ["{root}/train/images/a2.png has no mask", "expected {root}/train/masks/a2.png"],
    ),
    "validation image without mask": (
        remove(VAL_MASK),
        ["{root}/val/images/a1.png has no mask", "expected {root}/val/masks/a1.png"],
    ),
    "no masks folder": (
        lambda root: shutil.rmtree(root / "train" / "masks"),
        ["{root}/train/images/a0.png has no mask", "expected {root}/train/masks/a0.png"],
    ),
    "masks as JPEG": (jpeg_masks, ["a0.png has no mask", "expected {root}/train/masks/a0.png"]),
    "two images of one name": (
        lambda root: save(np.zeros((24, 32, 3), np.uint8), root / "train" / "images" / "a2.jpg"),
        ["{root}/train/images/a2.jpg and a2.png", "expected one file per name"],
    ),
    "two masks of one name": (
        lambda root: save(np.zeros((24, 32), np.uint8), root / "train" / "masks" / "a2.bmp"),
        ["{root}/train/masks/a2.bmp and a2.png", "expected one file per name"],
    ),
    "mask value outside the classes": (
        spoil_mask(),
        ["mask {root}/train/masks/a2.png holds the value 7", "ids 0 to 2, 255 = ignore"],
    ),
    "mask value outside the classes in val": (
        spoil_mask(VAL_MASK, 254),
        ["mask {root}/val/masks/a1.png holds the value 254", "ids 0 to 2"],
    ),
    "mask value above 8 bits": (
        spoil_mask(value=256),  # 256 would become class 0 in 8 bits
        ["mask {root}/train/masks/a2.png holds the value 256", "ids 0 to 2"],
    ),
    "RGB mask": (
        lambda root: save(paint(draw_mask(np.random.default_rng(0))), root / MASK),
        [
            "mask {root}/train/masks/a2.png is in colour",
            "classes.json gives no colours",
            "one channel",
        ],
    ),
    "RGBA mask": (
        lambda root: save(np.zeros((24, 32, 4), np.uint8), root / MASK),
        [
            "mask {root}/train/masks/a2.png is in colour",
            "classes.json gives no colours",
            "one channel",
        ],
    ),
    "sizes that differ": (
        lambda root: save(np.zeros((24, 30), np.uint8), root / MASK),
        ["{root}/train/images/a2.png is 32 x 24", "{root}/train/masks/a2.png is 30 x 24", "same"],
    ),
    "sizes turned": (
        lambda root: save(np.zeros((32, 24), np.uint8), root / MASK),
        ["{root}/train/images/a2.png is 32 x 24", "{root}/train/masks/a2.png is 24 x 32", "same"],
    ),
    "sizes that differ in val": (
        lambda root: save(np.zeros((24, 30), np.uint8), root / VAL_MASK),
        ["{root}/val/images/a1.png is 32 x 24", "{root}/val/masks/a1.png is 30 x 24", "same"],
    ),
    "image of random bytes": (
        write(IMAGE, bytes(range(200))),
        ["{root}/train/images/a2.png cannot be read as an image", "replace or remove"],
    ),
    "image of 0 bytes": (
        write(IMAGE, b""),
        ["{root}/train/images/a2.png cannot be read as an image", "replace or remove"],
    ),
    "first image of 0 bytes": (
        write("train/images/a0.png", b""),
        ["{root}/train/images/a0.png cannot be read as an image", "replace or remove"],
    ),
    "image cut off": (
        truncate(IMAGE),
        ["{root}/train/images/a2.png cannot be read as an image", "truncated"],
    ),
    "image of 16 bits": (
        sixteen_bit(IMAGE),
        ["{root}/train/images/a2.png holds 16-bit values", "expected are 8-bit values", "convert"],
    ),
    "mask of random bytes": (
        write(MASK, bytes(range(200))),
        ["{root}/train/masks/a2.png cannot be read as an image", "replace"],
    ),
    "mask of 0 bytes": (
        write(MASK, b""),
        ["{root}/train/masks/a2.png cannot be read as an image", "replace"],
    ),
    "mask cut off": (
        truncate(MASK),
        ["{root}/train/masks/a2.png cannot be read as an image", "truncated"],
    ),
    "unlabeled image of 0 bytes": (
        write("unlabeled/u1.png", b""),
        ["{root}/unlabeled/u1.png cannot be read as an image", "replace or remove"],
    ),
    "unlabeled image of 16 bits": (
        sixteen_bit("unlabeled/u1.png"),
        ["{root}/unlabeled/u1.png holds 16-bit values", "expected are 8-bit values"],
    ),
    "unlabeled image too large to be true": (
        bomb,
        ["{root}/unlabeled/u2.bmp is 2000000 x 2000000 pixels", "11,175.9 GB", "cut it into tiles"],
    ),
    "unlabeled folder missing": (
        lambda root: {"unlabeled": str(root / "more")},
        ["data.unlabeled is {root}/more", "no such folder"],
    ),
    "unlabeled folder empty": (
        empty("unlabeled"),
        ["no images in the unlabeled folder {root}/unlabeled"],
    ),
    "fewer labeled images than a batch": (
        options(labeled=3, batch_size=4),
        ["data.batch_size is 4", "only 3 labeled images", "at most 3"],
    ),
    "fewer unlabeled images than a batch": (
        options(unlabeled_batch_size=9),
        ["data.unlabeled_batch_size is 9", "only 8 unlabeled images", "at most 8"],
    ),
    "labeled fraction out of range": (
        options(labeled="9/8"),
        ["data.labeled is 9/8", "9 of 8 training images", "expected a count from 1 to 8"],
    ),
    "labeled fraction of nothing": (
        options(labeled="0/9"),
        ["data.labeled is 0/9", "0 of 8 training images", "expected a count from 1 to 8"],
    ),
    "labeled count out of range": (
        options(labeled=30),
        ["data.labeled is 30", "30 of 8 training images", "expected a count from 1 to 8"],
    ),
    "labeled is neither number nor file": (
        options(labeled="some"),
        ["data.labeled is some", "expected a count, a fraction such as 1/8, or a file"],
    ),
    "list naming an unknown image": (
        labels("a0\na1\nb7.jpg\n"),
        ["line 3 of {root}/list.txt names 'b7'", "no such training image"],
    ),
    "empty list": (labels("\n"), ["{root}/list.txt names no image", "expected one id per line"]),
    "too few means": (
        options(mean=(0.5,)),
        ["data.mean has 1 values", "3 channels", "one value per channel"],
    ),
    "too many deviations": (
        options(std=(0.2, 0.2, 0.2, 0.2)),
        ["data.std has 4 values", "3 channels", "one value per channel"],
    ),
    "deviation 0": (options(std=(0.2, 0.0, 0.2)), ["data.std is [0.2, 0.0, 0.2]", "above 0"]),
    "batch size 0": (options(batch_size=0), ["data.batch_size is 0", "at least 1"]),
    "batch size below 0": (options(batch_size=-2), ["data.batch_size is -2", "at least 1"]),
    "unlabeled batch size 0": (
        options(unlabeled_batch_size=0),
        ["data.unlabeled_batch_size is 0", "at least 1"],
    ),
    "validation batch size 0": (
        options(val_batch_size=0),
        ["data.val_batch_size is 0", "at least 1"],
    ),
    "crop size 0": (options(crop_size=(0, 16)), ["data.crop_size is (0, 16)", "at least 1"]),
    "image size 0": (options(image_size=(24, 0)), ["data.image_size is (24, 0)", "at least 1"]),
    "workers below 0": (options(num_workers=-1), ["data.num_workers is -1", "at least 0"]),
    "scale 0": (options(scale=(0.0, 1.0)), ["data.scale is [0.0, 1.0]", "expected the smallest"]),
    "scale turned round": (options(scale=(2.0, 0.5)), ["data.scale is [2.0, 0.5]", "expected"]),
}


@pytest.mark.parametrize("case", CASES)
def test_bad_input(tmp_path, case):
    root = draw_tree(tmp_path / "photos")
    use(root)  # nothing is wrong yet
    spoil, said = CASES[case]
    given = spoil(root)
    message = error_of(root, **(given if isinstance(given, dict) else {}))
    for part in said:
        assert part.replace("{root}", str(root)) in message


def test_negative_mask_values(tmp_path):
    root = draw_tree(tmp_path)
    (root / MASK).unlink()
    # -1 would become 255, that is ignore, in 8 bits
    save(np.full((24, 32), -1, np.int32), root / "train/masks/a2.tif")
    assert "train/masks/a2.tif holds the value -1" in error_of(root, labeled="all")


def test_no_unlabeled_images_at_all(tmp_path):
    root = draw_tree(tmp_path, unlabeled=0)
    message = error_of(root, labeled="all")
    assert "data.labeled" in message
    assert "needs unlabeled images, but every training image is labeled" in message
    use(root, labeled="all", num_views=0)  # the supervised method needs none


def test_without_validation_images_one_can_train_but_not_validate(tree):
    shutil.rmtree(tree / "val")
    use(tree)
    assert list(data_of(tree).val_dataloader()) == []
    with pytest.raises(UserError, match="'photos' has no val images with masks; expected"):
        data_of(tree).setup("validate")


def test_no_test_images(tree):
    with pytest.raises(UserError, match="'photos' has no test images with masks"):
        data_of(tree).setup("test")
    draw_pair(tree, "test", "a0", np.random.default_rng(0))
    data_of(tree).setup("test")


def test_masks_of_training_images_that_are_not_labeled_may_be_anything(tree):
    data = data_of(tree)
    for record in data.split.rest:
        record.mask.write_bytes(b"")
    use(tree, labeled=4)


def test_unlabeled_images_are_not_looked_at_by_a_method_without_them(tree):
    (tree / "unlabeled" / "u1.png").write_bytes(b"")
    use(tree, num_views=0)


@pytest.mark.parametrize("num_workers", [0, 1])
@pytest.mark.parametrize("folder", ["train/images", "unlabeled", "val/images"])
def test_a_photograph_cut_off_is_named_when_it_is_read(tmp_path, folder, num_workers):
    """The header of a JPEG is whole, so that only decoding can tell; in worker processes too."""
    size = (64, 64)
    root = draw_tree(tmp_path, train=4, val=3, unlabeled=3, ending=".jpg", size=size)
    path = sorted((root / folder).iterdir())[0]
    noise = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    save(noise, path)
    truncate(path.name)(path.parent)
    data = data_of(root, num_workers=num_workers)
    data.setup("fit")
    with pytest.raises(UserError) as caught:
        batches(data, 6) + take(data.val_dataloader(), 3, num_workers)
    assert f"{path} cannot be read as an image" in str(caught.value)
    assert "truncated" in str(caught.value)


@pytest.mark.parametrize("ending", [".png", ".jpg", ".bmp"])
def test_damaged_files_never_end_in_another_exception(tmp_path, ending, monkeypatch):
    # or much time would go into the pixels that damaged headers promise
    monkeypatch.setattr(machine, "most_bytes", lambda: 30_000)
    root = draw_tree(tmp_path, train=1, ending=ending)
    source = Folder(str(root))
    (record,) = source.records("train")
    mask = record.mask.with_suffix(".png" if ending == ".jpg" else ending)
    save(draw_mask(np.random.default_rng(0)), mask)
    record = record._replace(mask=mask)
    whole = {path: path.read_bytes() for path in (record.image, mask)}
    messages = []
    for seed in range(90):
        rng = np.random.default_rng(seed)
        for path, content in whole.items():
            damaged = bytearray(content)
            if seed % 3 == 0:
                del damaged[rng.integers(len(content)) :]
            for place in rng.integers(min(len(content), 150), size=seed % 3 * 2):
                damaged[place] = rng.integers(256)
            path.write_bytes(damaged)
        for use_it in (source.read_image, source.read_mask, lambda r: source.check([r])):
            try:
                use_it(record)
            except UserError as error:
                messages.append(str(error))
    assert len(messages) > 40
    assert not [m for m in messages if "\n" in m or str(tmp_path) not in m]


def test_an_image_that_disappears_between_check_and_reading(tree):
    source = Folder(str(tree))
    record = source.records("train")[0]
    record.image.unlink()
    with pytest.raises(UserError, match="No such file") as caught:
        source.read_image(record)
    assert str(caught.value).count(str(record.image)) == 1


def test_messages_do_not_repeat_the_path(tree):
    (tree / IMAGE).write_bytes(b"no image")
    assert error_of(tree, labeled="all").count(str(tree)) == 1


def test_16_bit_gray_images_would_have_been_clipped(tmp_path):
    """Pillow makes everything above 255 white: refused rather than trained on."""
    path = tmp_path / "deep.png"
    save(np.array([[0, 300, 40_000]], np.uint16), path)
    assert np.asarray(Image.open(path).convert("L")).tolist() == [[0, 255, 255]]


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
