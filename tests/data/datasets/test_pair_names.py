"""Folders that nothing can be made of: each is refused in one sentence."""

import numpy as np
import pytest
from PIL import Image

from ssseg.errors import UserError
from tests.data.loose import mask, masks_of, opened, photographs, prepared, usual
from tests.data.trees import paint, save


def no_masks(root):
    photographs(root / "photos", ["a0", "a1"])
    (root / "masks").mkdir()


def no_images(root):
    masks_of(root / "masks", ["a0"])
    (root / "photos").mkdir()
    (root / "photos" / "a0.heic").write_bytes(b"")


def jpeg_masks(root):
    usual(root)
    for path in (root / "masks").iterdir():
        Image.open(path).save(path.with_suffix(".jpg"))
        path.unlink()


def one_image_twice(root):
    usual(root)
    photographs(root / "photos", ["a1"], ".JPG")


def two_masks(root):
    usual(root)
    save(mask(1), root / "masks" / "a1_mask.png")


def two_names_of_masks(root):
    usual(root, naming="{}_label")
    masks_of(root / "masks", [f"a{number}_labelIds" for number in range(10)])


def one_mask_for_two(root):
    photographs(root / "photos" / "monday", ["a0", "a1"])
    photographs(root / "photos" / "friday", ["a0", "a2"])
    masks_of(root / "masks", ["a0", "a1"])


def smooth(root):
    usual(root)
    steps = np.linspace(0, 255, 24 * 32).astype(np.uint8).reshape(24, 32)
    save(steps, root / "masks" / "a1.png")


def colours_and_grey(root):
    usual(root)
    save(paint(mask(1)) * np.array([1, 2, 3], np.uint8), root / "masks" / "a1.png")


def empty_file(place):
    def make(root):
        usual(root)
        (root / place).write_bytes(b"")

    return make


def larger(root):
    usual(root)
    save(mask(1).repeat(2, 0).repeat(2, 1), root / "masks" / "a1.png")


def many_masks_differ(root):
    usual(root)
    (root / "masks" / "classes.json").write_text('["sky", "road"]')


REFUSED = {
    "no masks": (no_masks, {}, "there are no masks in"),
    "no images": (no_images, {}, r"there are no images in .* \(it holds 1 .heic"),
    "no folder": (lambda root: usual(root), {"masks": "nowhere"}, "there is no such folder"),
    "nothing beside": (
        lambda root: photographs(root / "photos", ["a0", "a1"]),
        {"masks": ...},
        "no image in .* has a mask beside it",
    ),
    "JPEG masks": (jpeg_masks, {}, r"it holds 10 .jpg files, which change the values"),
    "one stem twice": (one_image_twice, {}, r"may belong to .*a1.JPG or to .*a1.png"),
    "two masks": (two_masks, {}, r"may both be the mask of .*a1.png"),
    "label and labelIds": (two_names_of_masks, {}, "may both be the mask"),
    "one mask for two images": (one_mask_for_two, {}, r"friday/a0.png or to .*monday/a0.png"),
    "other names": (
        lambda root: usual(root, naming="{}_xyz"), {}, "none of the 10 masks .* is named like",
    ),
    "a template without name": (
        lambda root: usual(root), {"mask_name": "x.png"}, "expected a name with {name}",
    ),
    "smooth edges": (smooth, {}, "a1.png holds 256 values, more than classes have"),
    "colours and grey": (colours_and_grey, {}, "is in colour and mask .* is grey"),
    "one value": (
        lambda root: usual(root, write=np.zeros_like), {}, "hold the value 0 alone",
    ),
    "all ignored": (
        lambda root: usual(root, write=lambda ids: np.full_like(ids, 255)), {}, "alone",
    ),
    "float": (
        lambda root: (usual(root)
        and Image.fromarray(mask(1).astype(np.float32)).save(root / "masks" / "a1.tif"))
        or (root / "masks" / "a1.png").unlink(),
        {},
        "channels of float32",
    ),
    "an empty image": (empty_file("photos/a1.png"), {}, "a1.png cannot be read as an image"),
    "an empty unlabeled image": (empty_file("photos/u1.png"), {}, "u1.png cannot be read"),
    "an empty mask": (empty_file("masks/a1.png"), {}, "a1.png cannot be read as an image"),
    "a larger mask": (larger, {}, "they must be the same size"),
    "too few names": (many_masks_differ, {}, "holds the value 2, but .* names 2 classes"),
    "all masks": (
        lambda root: usual(root, unlabeled=0), {}, "or give --method supervised",
    ),
    "too many held out": (lambda root: usual(root), {"val": "10"}, "there are 10 labeled images"),
    "more folds than masks": (
        lambda root: usual(root), {"folds": 11, "fold": 1}, "only 10 labeled images can be held",
    ),
    "folds and a share": (
        lambda root: usual(root), {"folds": 5, "fold": 1, "val": "0.3"}, "val is 0.3 beside",
    ),
    "no share": (lambda root: usual(root), {"val": "some"}, "expected the share"),
    "no class list": (
        lambda root: usual(root), {"classes": "no.json"}, "option data.classes is no.json",
    ),
    "no split": (lambda root: usual(root), {"split": "no.json"}, "option data.split is no.json"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_a_folder_that_is_refused_in_a_sentence(tmp_path, case):
    make, options, said = REFUSED[case]
    make(tmp_path)
    with pytest.raises(UserError, match=said) as caught:
        prepared(opened(tmp_path, **options))
    assert "\n" not in str(caught.value)


def test_all_pairs_that_are_not_clear_are_said_at_once(tmp_path):
    usual(tmp_path)
    for number in range(4):
        save(mask(number), tmp_path / "masks" / f"a{number}_mask.png")
    photographs(tmp_path / "photos", ["a8"], ".JPG")
    with pytest.raises(UserError) as caught:
        opened(tmp_path)
    said = str(caught.value)
    assert said.startswith("5 pairs of images and masks are not clear: ")
    assert said.count("may both be the mask of") == 3
    assert "; and 2 more; remove one, or say how masks are named" in said
    assert said.endswith("rename one of them, or lay masks into the same subfolders as images")

    for number in range(3):
        (tmp_path / "masks" / f"a{number}_mask.png").unlink()
    with pytest.raises(UserError) as caught:
        opened(tmp_path)
    said = str(caught.value)
    assert said.startswith("2 pairs of images and masks are not clear: ")
    assert "a3.png and a3_mask.png may both be" in said
    assert "a8.JPG or to" in said
    assert "more" not in said
