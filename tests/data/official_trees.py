"""Draws small data sets in the exact layouts in which VOC, Cityscapes and others are published."""

import json

import numpy as np
import scipy.io
from PIL import Image

from tests.data.trees import save

SIZE = (24, 32)
CITYSCAPES_LABELS = tuple(range(34))


def blocks(rng, values, size=SIZE):
    """Blocks of 8 x 8 pixels, one value each; with many values none is left out for long."""
    height, width = size
    found = rng.choice(np.array(values), (-(-height // 8), -(-width // 8)))
    return found.repeat(8, 0).repeat(8, 1)[:height, :width]


def photograph(mask):
    """A grey that tells the value, (H, W, 3) uint8."""
    return np.repeat((mask * 37 % 251).astype(np.uint8)[..., None], 3, -1)


def save_palette(mask, path):
    """A PNG with a palette, as VOC's: the colours are for looking, the indices are the ids."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(mask.astype(np.uint8)).convert("P")
    image.putpalette([value for i in range(256) for value in (i, 255 - i, i // 2)])
    image.save(path)


def write_list(path, lines, end="\n"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(end.join(lines).encode())


def voc_ids(*numbers):
    return [f"2007_{number:06d}" for number in numbers]


def draw_voc(root, train=(3, 1, 5), val=(2, 4), augmented=(7, 6), seed=0):
    """VOC2012 with SegmentationClassAug; ids by number. VOC's masks have void borders."""
    rng = np.random.default_rng(seed)
    home = root / "VOC2012"
    for number in (*train, *val, *augmented, 8):  # 8 has no mask at all
        name = f"2007_{number:06d}"
        mask = blocks(rng, range(21))
        save(photograph(mask), home / "JPEGImages" / f"{name}.jpg")
        if number == 8:
            continue
        if number in (*train, *val):
            mask[0] = 255
            save_palette(mask, home / "SegmentationClass" / f"{name}.png")
        save(mask.astype(np.uint8), home / "SegmentationClassAug" / f"{name}.png")
    lists = home / "ImageSets" / "Segmentation"
    write_list(lists / "train.txt", voc_ids(*train))
    write_list(lists / "val.txt", voc_ids(*val))
    write_list(lists / "trainval.txt", voc_ids(*sorted((*train, *val))))
    return home


def save_sbd_mat(mask, path):
    """A struct of three fields, as in `cls/`; the boundaries are sparse matrices in a cell."""
    path.parent.mkdir(parents=True, exist_ok=True)
    boundaries = np.empty((20, 1), object)
    boundaries[:, 0] = [scipy.sparse.csc_matrix(mask == i + 1) for i in range(20)]
    present = np.setdiff1d(np.unique(mask), 0).astype(np.uint8)[:, None]
    struct = {"Boundaries": boundaries, "Segmentation": mask, "CategoriesPresent": present}
    scipy.io.savemat(path, {"GTcls": struct}, do_compression=True)


def draw_sbd(root, train=(1, 7, 2), val=(6, 4)):
    """The official SBD release; `mask(number)` in every one of its pixels."""
    home = root / "benchmark_RELEASE" / "dataset"
    for number in (*train, *val):
        mask = np.full(SIZE, number, np.uint8)
        save_sbd_mat(mask, home / "cls" / f"2007_{number:06d}.mat")
    write_list(home / "train.txt", voc_ids(*train))
    write_list(home / "val.txt", voc_ids(*val))
    return home


def draw_cityscapes(root, train=6, val=2, test=1, extra=0, seed=0):
    """Frames of two cities per split, with all that the archives hold beside the label ids."""
    rng = np.random.default_rng(seed)
    cities = {"train": ("aachen", "zurich"), "val": ("frankfurt", "lindau"), "test": ("berlin",)}
    for split, count in (("train", train), ("val", val), ("test", test), ("train_extra", extra)):
        for i in range(count):
            city = cities.get(split, ("augsburg",))[i % len(cities.get(split, "a"))]
            name = f"{city}_{i:06d}_000019"
            labels = blocks(rng, CITYSCAPES_LABELS) if split != "test" else np.ones(SIZE, np.int64)
            labels = labels.astype(np.uint8)
            save(
                photograph(labels), root / "leftImg8bit" / split / city / f"{name}_leftImg8bit.png"
            )
            folder = root / ("gtCoarse" if split == "train_extra" else "gtFine") / split / city
            kind = "gtCoarse" if split == "train_extra" else "gtFine"
            save(labels, folder / f"{name}_{kind}_labelIds.png")
            save(labels.astype(np.uint16), folder / f"{name}_{kind}_instanceIds.png")
            save(photograph(labels), folder / f"{name}_{kind}_color.png")
            # what another tool may have left: values that mean something else
            save(labels // 2, folder / f"{name}_{kind}_labelTrainIds.png")
    return root


CONTEXT_TRAIN, CONTEXT_VAL = ("2008_000009", "2008_000003"), ("2008_000007", "2008_000002")


def draw_context(root, form="png", train=CONTEXT_TRAIN, val=CONTEXT_VAL, seed=0):
    """VOC2010 with label maps as PNG (0..59), .mat (0..459) or JSON (run-length codes of 459)."""
    rng = np.random.default_rng(seed)
    home = root / "VOC2010"
    names = [*train, *val]
    maps = {name: blocks(rng, range(60 if form == "png" else 460)) for name in names}
    for name, labels in maps.items():
        save(photograph(labels), home / "JPEGImages" / f"{name}.jpg")
        if form == "png":
            folder = home / "SegmentationClassContext"
            save(labels.astype(np.uint8), folder / f"{name}.png")
        elif form == "mat":
            path = home / "trainval" / f"{name}.mat"
            path.parent.mkdir(exist_ok=True)
            scipy.io.savemat(path, {"LabelMap": labels.astype(np.uint16)}, do_compression=True)
    if form == "json":
        write_detail(home / "trainval_merged.json", maps, set(train))
    else:
        own = "SegmentationContext" if form == "png" else "Main"
        more = [] if form == "png" else ["2008_000001"]  # Main lists images without a map as well
        write_list(home / "ImageSets" / own / "train.txt", [*train, *more])
        write_list(home / "ImageSets" / own / "val.txt", val)
    return home


def write_detail(path, maps, train):
    """The file of the Detail API, with the keys that it has and two that nobody needs here."""
    images, annotations = [], []
    for name, labels in maps.items():
        number = int(name.replace("_", ""))
        phase = "train" if name in train else "val"
        height, width = labels.shape
        image = {"image_id": number, "file_name": f"{name}.jpg", "phase": phase}
        images.append({**image, "height": height, "width": width, "date_captured": ""})
        for label in np.setdiff1d(np.unique(labels), 0).tolist():
            code = {"size": [height, width], "counts": run_length_code(labels == label)}
            about = {"id": len(annotations), "image_id": number, "category_id": label}
            annotations.append({**about, "segmentation": code, "iscrowd": 0, "parts": []})
    content = {"images": images, "annos_segmentation": annotations, "annos_boundary": []}
    path.write_text(json.dumps(content))


def run_length_code(mask):
    """COCO's compressed run lengths, written as plainly as possible."""
    flat = mask.T.ravel()
    runs, place, value = [], 0, False
    while place < len(flat):
        start = place
        while place < len(flat) and flat[place] == value:
            place += 1
        runs.append(place - start)
        value = not value
    text = ""
    for i, run in enumerate(runs):
        number = run - runs[i - 2] if i > 2 else run
        while True:
            group, number = number & 31, number >> 5
            done = number == (-1 if group & 16 else 0)
            text += chr(48 + group + (0 if done else 32))
            if done:
                break
    return text


CAMVID_FRAMES = {
    "train": ("0001TP_008520", "0006R0_f00930", "0016E5_07920", "0016E5_08190"),
    "val": ("0016E5_07959", "0016E5_08159"),
    "test": ("0001TP_008550", "Seq05VD_f00000"),
}


def draw_camvid(root, colors, seed=0):
    """Frames of all four sequences; labels in colour."""
    rng = np.random.default_rng(seed)
    table = np.array(colors, np.uint8)
    for name in sum(CAMVID_FRAMES.values(), ()):
        places = blocks(rng, range(len(table)))
        save(photograph(places), root / "701_StillsRaw_full" / f"{name}.png")
        save(table[places], root / "LabeledApproved_full" / f"{name}_L.png")
    return root
