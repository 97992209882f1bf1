"""Folders as people have them, each read as meant."""

import unicodedata
from collections import Counter
from itertools import chain

import numpy as np
import pytest
from PIL import Image

from ssseg.data.splits.split_file import note_split
from tests.data.loose import mask, masks_of, opened, photographs, prepared, sound, usual
from tests.data.trees import ids, paint, save

NFC, NFD = (unicodedata.normalize(form, "é") for form in ("NFC", "NFD"))


def mixed_endings(root):
    usual(root)
    for path in (root / "photos").glob("a[0-4].png"):
        path.rename(path.with_suffix(".PNG"))
    return {}


def jpeg_photographs(root):
    usual(root, ending=".JPG")
    return {}


def beside(root):
    names = [f"a{number}" for number in range(10)]
    photographs(root / "photos", [*names, "u0", "u1"])
    masks_of(root / "photos", [f"{name}_mask" for name in names])
    return {"masks": ...}


def beside_named_alike(root):
    names = [f"a{number}" for number in range(10)]
    photographs(root / "photos", [*names, "u0", "u1"], ".jpg")
    masks_of(root / "photos", names)
    return {"masks": ...}


def beside_by_template(root):
    names = [f"a{number}" for number in range(10)]
    photographs(root / "photos", [*names, "u0", "u1"])
    masks_of(root / "photos", [f"{name} anno" for name in names])
    return {"masks": ..., "mask_name": "{name} anno"}


def one_folder_named_twice(root):
    beside(root)
    return {"masks": str(root / "photos")}


def masks_inside_images(root):
    usual(root)
    (root / "masks").rename(root / "photos" / "masks")
    return {"masks": str(root / "photos" / "masks")}


def images_inside_masks(root):
    usual(root)
    (root / "photos").rename(root / "masks" / "photos")
    return {"images": str(root / "masks" / "photos")}


def mirrored_subfolders(root):
    for place in ("photos", "masks"):
        draw = photographs if place == "photos" else masks_of
        draw(root / place / "monday", [f"a{number}" for number in range(5)])
        draw(root / place / "friday", [f"b{number}" for number in range(5)])
    photographs(root / "photos", ["u0"])
    return {}


def same_names_in_subfolders(root):
    for place in ("photos", "masks"):
        draw = photographs if place == "photos" else masks_of
        for day in ("monday", "friday"):
            draw(root / place / day, [f"a{number}" for number in range(5)])
    photographs(root / "photos", ["u0"])
    return {}


def flat_masks_of_deep_images(root):
    photographs(root / "photos" / "deep" / "er", [f"a{number}" for number in range(10)])
    photographs(root / "photos", ["u0"])
    masks_of(root / "masks", [f"a{number}_mask" for number in range(10)])
    return {}


def deep_masks_of_flat_images(root):
    usual(root)
    (root / "masks").rename(root / "deep")
    (root / "masks").mkdir()
    (root / "deep").rename(root / "masks" / "deep")
    return {}


def hidden_files(root):
    usual(root)
    for place in ("photos", "masks"):
        (root / place / "._a1.png").write_bytes(b"not an image")
        (root / place / ".ipynb_checkpoints").mkdir()
        (root / place / ".ipynb_checkpoints" / "a2-checkpoint.png").write_bytes(b"no")
    return {}


def notes_beside(root):
    usual(root)
    (root / "masks" / "notes.txt").write_text("by Ann")
    (root / "photos" / "Thumbs.db").write_bytes(b"")
    (root / "photos" / "movie.mp4").write_bytes(b"no photograph")
    return {}


def spaces(root):
    names = [f"my a{number}" for number in range(10)]
    photographs(root / "photos", [*names, "u 0"])
    masks_of(root / "masks", [f"{name} mask" for name in names])
    return {}


def accents(root):
    photographs(root / "photos", [f"{NFC}{number}" for number in range(10)])
    photographs(root / "photos", ["u0"])
    masks_of(root / "masks", [f"{NFD}{number}_mask" for number in range(10)])
    return {}


def links(root):
    usual(root)
    (root / "photos").rename(root / "disk")
    (root / "photos").mkdir()
    for path in (root / "disk").iterdir():
        (root / "photos" / path.name).symlink_to(path)
    return {}


def linked_folder(root):
    usual(root)
    (root / "masks").rename(root / "disk")
    (root / "masks").symlink_to(root / "disk")
    return {}


def broken_link(root):
    usual(root)
    (root / "photos" / "gone.png").symlink_to(root / "nowhere.png")
    return {}


def twice_without_mask(root):
    usual(root)
    photographs(root / "photos", ["u0"], ".JPG")
    photographs(root / "photos", ["u0"], ".jpg")
    return {}


def lonely_mask(root):
    usual(root)
    save(mask(0), root / "masks" / "z.png")
    return {}


def other_pictures_of_masks(root):
    usual(root, naming="{}_labelIds")
    masks_of(root / "masks", [f"a{number}_color" for number in range(10)], paint)
    return {}


def a_class_list(root):
    usual(root)
    (root / "classes.json").write_text('["sky", "road", "car"]')
    return {}


def palette(root):
    usual(root)
    for path in (root / "masks").iterdir():
        image = Image.open(path).convert("P")
        image.putpalette([9, 9, 9, 200, 0, 0, 0, 200, 0])
        image.putdata(np.asarray(Image.open(path)).ravel().tolist())
        image.save(path)
    return {}


WORKING = {
    **{
        naming: lambda root, naming=naming: usual(root, naming=naming) and {}
        for naming in ("{}", "{}_mask", "{}_label", "{}_labelIds", "{}-mask", "{}_MASK", "{}.seg")
    },
    "template": lambda root: usual(root, naming="gt_{}_x") and {"mask_name": "gt_{name}_x.png"},
    "template of folders": lambda root: (
        masks_of(root / "masks", [f"a{number}/labels" for number in range(10)])
        or photographs(root / "photos", [*(f"a{number}" for number in range(10)), "u0"])
        or {"mask_name": "{name}/labels"}
    ),
    "1-based": lambda root: usual(root, write=lambda ids: ids + 1) and {},
    "values with gaps": lambda root: usual(root, write=lambda ids: ids * 50) and {},
    "grey as colour": lambda root: usual(root, write=lambda i: np.stack([i] * 3, -1)) and {},
    "LA": lambda root: (
        usual(root, write=lambda ids: np.stack([ids, np.full_like(ids, 255)], -1)) and {}
    ),
    "16 bits": lambda root: usual(root, write=lambda ids: ids.astype(np.uint16) * 1000) and {},
    "colours": lambda root: (
        usual(root, write=lambda ids: np.array([[0, 0, 9], [0, 9, 0], [9, 0, 0]], np.uint8)[ids])
        and {}
    ),
    "transparent colours": lambda root: (
        usual(
            root,
            write=lambda ids: np.array([[0, 0, 9, 255], [0, 9, 0, 255], [9, 0, 0, 255]], np.uint8)[
                ids
            ],
        )
        and {}
    ),
    **{
        made.__name__.replace("_", " "): made
        for made in (
            *(mixed_endings, jpeg_photographs, beside, beside_named_alike, beside_by_template),
            *(one_folder_named_twice, masks_inside_images, images_inside_masks),
            *(mirrored_subfolders, flat_masks_of_deep_images, deep_masks_of_flat_images),
            *(hidden_files, notes_beside, spaces, accents, links, linked_folder, broken_link),
            *(twice_without_mask, lonely_mask, other_pictures_of_masks, a_class_list, palette),
            same_names_in_subfolders,
        )
    },
}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("case", WORKING)
def test_a_folder_that_is_read_as_meant(tmp_path, case):
    source = sound(opened(tmp_path, **WORKING[case](tmp_path)))
    assert len(source.records("val")) == 2
    assert all(record.mask is None for record in source.unlabeled())
    paths = [record.image for record in (*source.unlabeled(), *source.records("train"))]
    assert len(set(paths)) == len(paths)
    assert Counter(ids(source.unlabeled())).most_common(1)[0][1] == 1


@pytest.mark.parametrize(("count", "held"), [(1, 0), (2, 1), (3, 1), (5, 1), (8, 2), (30, 6)])
def test_few_masks(tmp_path, count, held):
    source = opened(usual(tmp_path, labeled=count))
    data = prepared(source)
    assert len(source.records("val")) == held
    assert len(source.records("train")) == count - held
    assert data.batch_size == min(4, count - held)
    said = " ".join(data.notices())
    if held:
        assert f"{held} of {count} labeled images are held out" in said
        assert f"a score on {held} image" in said
    else:
        assert "so that there are no scores" in said


def test_every_image_labeled_trains_with_labels_alone(tmp_path):
    prepared(opened(usual(tmp_path, unlabeled=0)), num_views=0)


def test_held_out_images_do_not_depend_on_names(tmp_path):
    first, second = usual(tmp_path / "1"), usual(tmp_path / "2")
    for place in ("photos", "masks"):
        for path in sorted((second / place).glob("a*.png")):
            path.rename(path.with_name(f"b{path.name}"))
    one, two = opened(first), opened(second)
    assert [f"b{name}" for name in ids(one.records("val"))] == ids(two.records("val"))


def test_equal_images_are_held_out_together(tmp_path):
    root = usual(tmp_path)
    for number in range(1, 5):
        for place in ("photos", "masks"):
            source = root / place / "a0.png"
            (root / place / f"a{number}.png").write_bytes(source.read_bytes())
    held = {f"a{number}" for number in range(5)}
    for seed in range(5):
        val = set(ids(opened(root, val="5", val_seed=seed).records("val")))
        assert val & held in (set(), held)
        prepared(opened(root, val="5", val_seed=seed))


def test_a_test_share_is_apart(tmp_path):
    source = opened(usual(tmp_path), test="2", val="3")
    sets = [set(ids(source.records(split))) for split in ("train", "val", "test")]
    assert [len(one) for one in sets] == [5, 3, 2]
    assert len(set.union(*sets)) == 10


def test_folds_hold_out_every_labeled_image_once(tmp_path):
    root = usual(tmp_path)
    several = [opened(root, folds=3, fold=fold) for fold in (1, 2, 3)]
    held = [ids(source.records("val")) for source in several]
    assert sorted(chain.from_iterable(held)) == [f"a{number}" for number in range(10)]
    assert sorted(map(len, held)) == [3, 3, 4]
    for source in several:
        assert len(source.records("train")) == 10 - len(source.records("val"))
        assert ids(source.unlabeled()) == ids(several[0].unlabeled())
    made = several[1].split_document()["made"]
    assert (made["fold"], made["folds"], made["val"]) == (2, 3, None)
    said = " ".join(prepared(several[1]).notices())
    assert f"fold 2 of 3: {len(held[1])} of 10 labeled images are held out" in said


def test_folds_divide_what_the_test_leaves(tmp_path):
    several = [opened(usual(tmp_path), test="2", folds=2, fold=fold) for fold in (1, 2)]
    test = {tuple(ids(source.records("test"))) for source in several}
    assert len(test) == 1
    held = [set(ids(source.records("val"))) for source in several]
    assert len(held[0] | held[1] | set(*test)) == 10


def test_a_kept_split_is_that_of_its_fold_after_more_is_labeled(tmp_path):
    root = usual(tmp_path)
    source = opened(root, folds=3, fold=2)
    note_split(tmp_path, source)
    masks_of(root / "masks", ["u0", "u1"])
    again = opened(root, folds=3, fold=2, split=str(tmp_path / "split.json"))
    assert ids(again.records("val")) == ids(source.records("val"))
    assert len(again.records("train")) == len(source.records("train")) + 2


def test_crops_of_small_photographs_need_no_padding(tmp_path):
    root = usual(tmp_path, labeled=4)
    for path in [*(root / "photos").iterdir(), *(root / "masks").iterdir()]:
        Image.open(path).resize((240, 180), Image.Resampling.NEAREST).save(path)
    assert opened(root).crop_size == (160, 224)
