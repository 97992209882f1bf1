"""Bad input to the readers of official layouts ends in one sentence that says how to mend it."""

import json
import shutil

import numpy as np
import pytest
import scipy.io

from ssseg.data.datasets import source_class
from ssseg.data.datasets.camvid import LABELS
from ssseg.data.datasets.context import CLASSES
from ssseg.errors import UserError
from tests.data.official_trees import (
    SIZE,
    draw_camvid,
    draw_cityscapes,
    draw_context,
    draw_sbd,
    draw_voc,
    write_list,
)
from tests.data.trees import save

LISTS = "ImageSets/Segmentation"
MAP = "SegmentationClassContext/2008_000009.png"
MAT = "trainval/2008_000009.mat"
JSON = "trainval_merged.json"
LABEL = "gtFine/train/aachen/aachen_000000_000019_gtFine_labelIds.png"
FRAME = "LabeledApproved_full/0001TP_008520_L.png"
ZEROS = np.zeros(SIZE, np.uint8)


def use(source):
    """All that a run does with a source."""
    for split in ("train", "val", "test"):
        source.check(source.records(split))
    source.check(source.unlabeled())


def error_of(name, root, **options):
    with pytest.raises(UserError) as caught:
        use(source_class(name)(str(root), **options))
    message = str(caught.value)
    assert "\n" not in message
    return message


def write(path, content):
    return lambda root: (root / path).write_bytes(content)


def remove(path):
    def spoil(root):
        shutil.rmtree(root / path) if (root / path).is_dir() else (root / path).unlink()

    return spoil


def truncate(path):
    def spoil(root):
        content = (root / path).read_bytes()
        (root / path).write_bytes(content[: len(content) // 2])

    return spoil


def mask(path, value):
    """A mask of zeros but for one value; RGB where that is a colour."""

    def spoil(root):
        pixels = np.zeros((*SIZE, *np.shape(value)), np.uint8)
        pixels[3, 3] = value
        save(pixels, root / path)

    return spoil


def named(path, *lines):
    return lambda root: write_list(root / path, lines)


def options(**given):
    return lambda root: given


def mat(path, **variables):
    return lambda root: scipy.io.savemat(root / path, variables)


def sbd(spoil):
    """SBD's release beside the tree, spoilt."""

    def prepare(root):
        home = draw_sbd(root.parent)
        spoil(home)
        return {"sbd": str(home)}

    return prepare


def edit_json(change):
    def spoil(root):
        content = json.loads((root / JSON).read_text())
        change(content)
        (root / JSON).write_text(json.dumps(content))

    return spoil


def annotation(**values):
    return edit_json(lambda content: content["annos_segmentation"][0].update(values))


VOC = {
    "no root": (remove(""), ["data.root is {root}", "no such folder", "VOCdevkit/VOC2012"]),
    "another folder": (
        remove("SegmentationClass"),
        ["data.root is {root}", "no SegmentationClass/ in it", "give the folder VOCdevkit/VOC2012"],
    ),
    "no augmented masks": (
        remove("SegmentationClassAug"),
        ["there is no {root}/SegmentationClassAug", "data.sbd", "data.masks voc"],
    ),
    "unknown masks": (options(masks="vox"), ["data.masks", "'vox'", "did you mean 'voc'"]),
    "no list": (remove(f"{LISTS}/val.txt"), ["{root}/" + LISTS + "/val.txt cannot be read"]),
    "empty list": (
        named(f"{LISTS}/val.txt", "", " "),
        ["{root}/" + LISTS + "/val.txt names no image", "one id per line"],
    ),
    "list that is no text": (
        write(f"{LISTS}/val.txt", b"\xff\xfe\x00"),
        ["val.txt cannot be read"],
    ),
    "image named twice": (
        named(f"{LISTS}/val.txt", "2007_000002", "", "2007_000002"),
        ["lines 1 and 3 of {root}/" + LISTS + "/val.txt both name '2007_000002'", "remove one"],
    ),
    "list naming an unknown image": (
        named(f"{LISTS}/val.txt", "2007_000002", "2099_000001"),
        [
            "line 2 of {root}/" + LISTS + "/val.txt",
            "no {root}/JPEGImages/2099_000001.jpg",
            "unpack",
        ],
    ),
    "list naming an image without mask": (
        named(f"{LISTS}/trainaug.txt", "2007_000001", "2007_000008"),
        [
            "line 2 of {root}/" + LISTS + "/trainaug.txt",
            "{root}/SegmentationClassAug/2007_000008.png",
        ],
    ),
    "training on validation images": (
        named(f"{LISTS}/train_aug.txt", "2007_000001", "2007_000004"),
        ["'2007_000004'", "line 2 of {root}/" + LISTS + "/val.txt", "no image in both"],
    ),
    "mask without image": (
        remove("JPEGImages/2007_000006.jpg"),
        [
            "{root}/SegmentationClassAug/2007_000006.png",
            "expected {root}/JPEGImages/2007_000006.jpg",
        ],
    ),
    "unknown class": (
        mask("SegmentationClassAug/2007_000003.png", 21),
        ["mask {root}/SegmentationClassAug/2007_000003.png holds the value 21", "ids 0 to 20"],
    ),
    "mask in colour": (
        mask("SegmentationClass/2007_000002.png", (128, 0, 0)),
        ["mask {root}/SegmentationClass/2007_000002.png is in colour", "class ids 0 to 20"],
    ),
    "mask cut off": (
        truncate("SegmentationClass/2007_000002.png"),
        ["{root}/SegmentationClass/2007_000002.png cannot be read as an image"],
    ),
    "mask of another size": (
        lambda root: save(ZEROS.T, root / "SegmentationClass/2007_000002.png"),
        ["{root}/JPEGImages/2007_000002.jpg is 32 x 24", "is 24 x 32", "same size"],
    ),
    "unlabeled folder missing": (
        options(unlabeled="no/such"),
        ["data.unlabeled is no/such", "no such folder"],
    ),
    "unlabeled folder empty": (
        lambda root: {"unlabeled": str(root / "ImageSets")},
        ["no images in the unlabeled folder {root}/ImageSets"],
    ),
    "no SBD": (options(sbd="no/such"), ["data.sbd is no/such", "benchmark_RELEASE/dataset"]),
    "SBD without masks": (
        sbd(remove("cls")),
        ["data.sbd is", "no cls/ in it", "benchmark_RELEASE"],
    ),
    "SBD without list": (sbd(remove("train.txt")), ["dataset/train.txt cannot be read"]),
    "SBD list naming a missing file": (
        sbd(remove("cls/2007_000007.mat")),
        ["line 2 of", "dataset/train.txt names '2007_000007'", "dataset/cls/2007_000007.mat"],
    ),
    "SBD file cut off": (
        sbd(truncate("cls/2007_000007.mat")),
        ["dataset/cls/2007_000007.mat cannot be read as a .mat file", "unpack it again"],
    ),
    "SBD file of 0 bytes": (
        sbd(write("cls/2007_000007.mat", b"")),
        ["dataset/cls/2007_000007.mat cannot be read as a .mat file"],
    ),
    "SBD file of another kind": (
        sbd(mat("cls/2007_000007.mat", GTinst={"Segmentation": ZEROS})),
        ["dataset/cls/2007_000007.mat has no GTcls.Segmentation", "official release"],
    ),
    "SBD file without the field": (
        sbd(mat("cls/2007_000007.mat", GTcls={"CategoriesPresent": ZEROS})),
        ["dataset/cls/2007_000007.mat has no GTcls.Segmentation", "official release"],
    ),
    "SBD file with another variable": (
        sbd(mat("cls/2007_000007.mat", GTcls=ZEROS)),
        ["dataset/cls/2007_000007.mat has no GTcls.Segmentation"],
    ),
    "SBD file with an unknown class": (
        sbd(mat("cls/2007_000007.mat", GTcls={"Segmentation": ZEROS + 33})),
        ["dataset/cls/2007_000007.mat holds the value 33", "ids 0 to 20"],
    ),
}
CITYSCAPES = {
    "no root": (remove(""), ["data.root is {root}", "no such folder", "leftImg8bit/ and gtFine/"]),
    "no images": (
        remove("leftImg8bit"),
        ["data.root is {root}", "no leftImg8bit/ in it", "unpack both archives"],
    ),
    "no masks": (
        remove("gtFine"),
        ["{root} holds leftImg8bit/ but no gtFine/", "gtFine_trainvaltest.zip"],
    ),
    "no training images": (
        remove("leftImg8bit/train"),
        ["no images CITY/*_leftImg8bit.png in {root}/leftImg8bit/train", "unpack"],
    ),
    "no training masks": (
        remove("gtFine/train"),
        ["image aachen_000000_000019 of train has no mask", "expected {root}/" + LABEL],
    ),
    "validation image without mask": (
        remove("gtFine/val/lindau/lindau_000001_000019_gtFine_labelIds.png"),
        [
            "lindau_000001_000019 of val has no mask",
            "gtFine/val/lindau/lindau_000001_000019_gtFine",
        ],
    ),
    "no extra images": (
        options(train_extra=True),
        ["data.train_extra is true", "no {root}/leftImg8bit/train_extra", "trainextra.zip"],
    ),
    "unknown label": (
        mask(LABEL, 34),
        ["mask {root}/" + LABEL + " holds the value 34", "label ids 0 to 33"],
    ),
    "mask in colour": (mask(LABEL, (128, 64, 128)), ["mask {root}/" + LABEL + " is in colour"]),
    "mask of random bytes": (
        write(LABEL, bytes(range(99))),
        ["{root}/" + LABEL + " cannot be read"],
    ),
    "image cut off in its header": (
        write("leftImg8bit/train/aachen/aachen_000000_000019_leftImg8bit.png", b"\x89PNG"),
        ["aachen_000000_000019_leftImg8bit.png cannot be read as an image", "replace"],
    ),
}
CONTEXT = {
    "no root": (remove(""), ["data.root is {root}", "no such folder", "VOCdevkit/VOC2010"]),
    "no images": (remove("JPEGImages"), ["data.root is {root}", "no JPEGImages/ in it"]),
    "no label maps": (
        remove("SegmentationClassContext"),
        [
            "no label maps in {root}",
            "SegmentationClassContext/",
            "trainval/",
            "trainval_merged.json",
        ],
    ),
    "58 classes": (options(classes=58), ["data.classes is 58", "expected 59, or 60"]),
    "no list": (
        remove("ImageSets/SegmentationContext/train.txt"),
        ["{root}/ImageSets/SegmentationContext/train.txt cannot be read"],
    ),
    "list naming a missing mask": (
        remove(MAP),
        ["line 1 of {root}/ImageSets/SegmentationContext/train.txt", "no {root}/" + MAP],
    ),
    "unknown class": (mask(MAP, 60), ["mask {root}/" + MAP + " holds the value 60", "0 to 59"]),
    "mask in colour": (mask(MAP, (6, 230, 230)), ["mask {root}/" + MAP + " is in colour"]),
    "other labels": (
        named("labels.txt", *[f"{i}: {info.name}" for i, info in CLASSES.items() if i != 18]),
        ["{root}/labels.txt gives label 18 the name None", "expected 'bed'"],
    ),
}
CONTEXT_MAT = {
    "no variable": (
        mat(MAT, Labels=ZEROS),
        ["{root}/" + MAT + " has no LabelMap", "matrix of class ids", "official release"],
    ),
    "variable that is text": (mat(MAT, LabelMap="bed"), ["{root}/" + MAT + " has no LabelMap"]),
    "variable in float": (mat(MAT, LabelMap=ZEROS + 0.5), ["{root}/" + MAT + " has no LabelMap"]),
    "unknown label": (
        mat(MAT, LabelMap=ZEROS + np.uint16(460)),
        ["mask {root}/" + MAT + " holds the value 460", "labels 0 to 459"],
    ),
    "file cut off": (truncate(MAT), ["{root}/" + MAT + " cannot be read as a .mat file"]),
    "no file that MATLAB wrote": (
        write(MAT, b"this is a text file" * 20),
        ["{root}/" + MAT + " cannot be read as a .mat file", "unpack"],
    ),
    "image missing": (
        remove("JPEGImages/2008_000009.jpg"),
        [
            "{root}/" + MAT + " has labels of image 2008_000009",
            "no {root}/JPEGImages/2008_000009.jpg",
        ],
    ),
    "list naming a missing file": (
        named("train.txt", "2008_000001"),
        ["line 1 of {root}/train.txt names '2008_000001'", "no {root}/JPEGImages/2008_000001.jpg"],
    ),
}
CONTEXT_JSON = {
    "not JSON": (
        truncate(JSON),
        ["{root}/" + JSON + " cannot be read as annotations", "Detail API"],
    ),
    "other JSON": (
        write(JSON, b'{"images": [], "annotations": []}'),
        ["{root}/" + JSON + " cannot be read as annotations", "annos_segmentation"],
    ),
    "list of polygons": (
        annotation(segmentation=[[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]]),
        ["{root}/" + JSON + " cannot be read as annotations"],
    ),
    "plain run lengths": (
        annotation(segmentation={"size": list(SIZE), "counts": [768]}),
        ["{root}/" + JSON, "not a run-length code"],
    ),
    "another size": (
        annotation(segmentation={"size": [1, 1], "counts": "1"}),
        ["{root}/" + JSON, "not a run-length code of its size"],
    ),
    "broken code": (
        annotation(segmentation={"size": list(SIZE), "counts": "11"}),
        ["{root}/" + JSON, "image 2008_000009", "cannot be decoded", "24 x 32"],
    ),
    "unknown label": (annotation(category_id=460), ["{root}/" + JSON, "category_id 460"]),
    "image missing": (
        remove("JPEGImages/2008_000009.jpg"),
        ["{root}/" + JSON + " has labels of image 2008_000009", "unpack VOC 2010"],
    ),
}
CAMVID = {
    "no root": (remove(""), ["data.root is {root}", "no such folder", "701_StillsRaw_full/"]),
    "no frames": (remove("701_StillsRaw_full"), ["data.root is {root}", "no 701_StillsRaw_full/"]),
    "no masks": (
        remove("LabeledApproved_full"),
        ["there is no {root}/LabeledApproved_full", "LabeledApproved_full.zip"],
    ),
    "12 classes": (options(classes=12), ["data.classes is 12", "expected 11 or 32"]),
    "frame without mask": (
        remove(FRAME),
        ["701_StillsRaw_full/0001TP_008520.png has no mask", "expected {root}/" + FRAME],
    ),
    "frame of no sequence": (
        lambda root: save(np.zeros((*SIZE, 3), np.uint8), root / "701_StillsRaw_full/street.png"),
        [
            "frame 'street' belongs to no sequence",
            "lists train.txt, val.txt and test.txt in {root}",
        ],
    ),
    "no training list": (
        named("val.txt", "0016E5_07959"),
        ["{root}/train.txt cannot be read", "one image id per line"],
    ),
    "list naming a missing frame": (
        named("train.txt", "0016E5_07959", "street"),
        ["line 2 of {root}/train.txt names 'street'", "no {root}/701_StillsRaw_full/street.png"],
    ),
    "unknown colour": (
        mask(FRAME, (1, 2, 3)),
        ["mask {root}/" + FRAME + " has the colour [1, 2, 3]", "label_colors.txt"],
    ),
    "mask of class ids": (
        mask(FRAME, 3),
        ["mask {root}/" + FRAME + " has one channel", "--data folder"],
    ),
    "label_colors.txt of other labels": (
        named("label_colors.txt", "64 0 128\tCar", "1 2 3\tcat"),
        ["line 2 of {root}/label_colors.txt is '1 2 3\\tcat'", "64 0 128 Car"],
    ),
    "label_colors.txt of large numbers": (
        named("label_colors.txt", "64 0 256\tCar"),
        ["line 1 of {root}/label_colors.txt", "0..255"],
    ),
}


def draw(kind, folder):
    match kind.split():
        case ["voc"]:
            return draw_voc(folder)
        case ["cityscapes"]:
            return draw_cityscapes(folder / "city")
        case ["context", form]:
            return draw_context(folder, form)
        case _:
            return draw_camvid(folder / "camvid", [color for color, _ in LABELS.values()])


ALL = {
    "voc": VOC,
    "cityscapes": CITYSCAPES,
    "context png": CONTEXT,
    "context mat": CONTEXT_MAT,
    "context json": CONTEXT_JSON,
    "camvid": CAMVID,
}
CASES = [(kind, case) for kind, cases in ALL.items() for case in cases]


@pytest.mark.parametrize(("kind", "case"), CASES, ids=lambda value: value)
def test_one_sentence(kind, case, tmp_path):
    root = draw(kind, tmp_path)
    spoil, parts = ALL[kind][case]
    given = spoil(root)
    message = error_of(kind.split()[0], root, **(given if isinstance(given, dict) else {}))
    for part in parts:
        assert part.replace("{root}", str(root)) in message


@pytest.mark.parametrize("kind", ALL)
def test_what_was_drawn_is_fine(kind, tmp_path):
    use(source_class(kind.split()[0])(str(draw(kind, tmp_path))))


def test_damaged_mat_files_never_end_in_another_exception(tmp_path):
    root = draw_context(tmp_path, "mat")
    source = source_class("context")(str(root))
    record = next(r for r in source.records("train") if r.mask == root / MAT)
    whole = (root / MAT).read_bytes()
    messages = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        damaged = bytearray(whole)
        for place in rng.integers(len(whole), size=8):
            damaged[place] = rng.integers(256)
        (root / MAT).write_bytes(damaged)
        try:
            source.read_mask(record)
        except UserError as error:
            messages.append(str(error))
    assert len(messages) > 30
    assert not [m for m in messages if "\n" in m or str(root / MAT) not in m]
