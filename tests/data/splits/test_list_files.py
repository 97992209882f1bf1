import json

import numpy as np
import pytest

from ssseg.data.datasets.base import Record
from ssseg.data.datasets.folder import Folder
from ssseg.data.splits.content_hash import content_hash
from ssseg.data.splits.labeled_split import split_labeled
from ssseg.data.splits.list_files import read_list
from ssseg.errors import UserError
from tests.data.splits.lists import training
from tests.data.splits.test_labeled_split import Painted, some, voc_like
from tests.data.trees import ids, save

JENA = "jena_000078_000019"
LISTS = {
    "plain ids": "img_0003\nimg_0001\n",
    "no final newline": "img_0003\nimg_0001",
    "Windows line ends": "img_0003\r\nimg_0001\r\n",
    "byte order mark": "\ufeffimg_0003\nimg_0001\n",
    "blank lines": "\nimg_0003\n\n  \nimg_0001\n\n",
    "spaces around": "  img_0003 \n\timg_0001\t\n",
    "endings": "img_0003.jpg\nimg_0001.png\n",
    "paths": "leftImg8bit/train/aachen/img_0003.png\n/JPEGImages/img_0001.jpg\n",
    "pairs with a space": "/JPEGImages/img_0003.jpg /Masks/img_0003.png\na/img_0001.jpg b/x.png",
    "pairs with a tab": "/images/img_0003.png\t/seg/img_0003_gtFine.png\nimg_0001\timg_0001_gt",
    "twice": "img_0003\nimg_0001\nimg_0003\n",
}


@pytest.mark.parametrize("content", LISTS.values(), ids=LISTS.keys())
def test_list_files(tmp_path, content):
    path = tmp_path / "labeled.txt"
    path.write_bytes(content.encode())
    split = split_labeled(some(6), str(path), 0)
    assert ids(split.labeled) == ["img_0001", "img_0003"]
    assert ids(split.rest) == ["img_0000", "img_0002", "img_0004", "img_0005"]


NAMES = ["a", "my photo (1)", "v1.2 final", "straße 7", "train/00003", "東京"]


@pytest.mark.parametrize("ending", ["", ".jpg"])
def test_names_with_spaces_dots_folders_and_letters_of_all_kinds(tmp_path, ending):
    records = [Record(name, i, i) for i, name in enumerate([*NAMES, "my", "v1", "00003x"])]
    path = tmp_path / "labeled.txt"
    names = [name for name in NAMES if not (ending and "/" in name)]
    path.write_text("\n".join(name + ending for name in names), encoding="utf-8")
    assert ids(split_labeled(records, str(path), 0).labeled) == names


def test_an_unknown_image_is_named_with_its_line(tmp_path):
    path = tmp_path / "labeled.txt"
    path.write_text("img_0001\n\n\n/images/img_9999.jpg /masks/img_9999.png\nimg_8888\n")
    with pytest.raises(UserError, match="no such training image") as caught:
        split_labeled(some(6), str(path), 0)
    assert f"line 4 of {path}" in str(caught.value)
    assert "img_9999" in str(caught.value)
    assert "img_8888" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"\n\n  \n"])
def test_an_empty_list(tmp_path, content):
    path = tmp_path / "labeled.txt"
    path.write_bytes(content)
    with pytest.raises(UserError, match="names no image; expected one id per line") as caught:
        split_labeled(some(6), str(path), 0)
    assert str(path) in str(caught.value)


def test_a_list_that_is_no_text(tmp_path):
    path = tmp_path / "split_0.bin"
    path.write_bytes(b"\x80\x03cnumpy\xff\xfe")
    with pytest.raises(UserError, match="neither a number nor a readable list file") as caught:
        split_labeled(some(6), str(path), 0)
    assert str(path) in str(caught.value)


def test_a_folder_is_no_list(tmp_path):
    with pytest.raises(UserError, match="neither a number nor a readable list file"):
        split_labeled(some(6), str(tmp_path), 0)


def test_comments_are_passed_over_but_ids_may_look_like_them(tmp_path):
    records = [Record(name, i, i) for i, name in enumerate(["a", "#b", "c"])]
    path = tmp_path / "labeled.txt"
    path.write_text("# the first images\n  # img_9999\na\n#b\n")
    assert ids(split_labeled(records, str(path), 0).labeled) == ["a", "#b"]
    path.write_text("# nothing else\n")
    with pytest.raises(UserError, match="names no image"):
        split_labeled(records, str(path), 0)


ENDINGS = {
    "path": "leftImg8bit/train/jena/jena_000078_000019_leftImg8bit.png",
    "pair": f"leftImg8bit/train/jena/{JENA}_leftImg8bit.png gtFine/train/jena/{JENA}_gtFine.png",
    "pair with a tab": f"/images/train/{JENA}.png\t/segmentation/train/{JENA}_gtFine.png",
    "city": f"jena/{JENA}_leftImg8bit.png",
    "no suffix": f"{JENA}_leftImg8bit",
    "Windows": f"leftImg8bit\\train\\jena\\{JENA}_leftImg8bit.png",
    "bare": JENA,
}


@pytest.mark.parametrize("line", ENDINGS.values(), ids=ENDINGS.keys())
def test_what_file_names_have_after_an_id(tmp_path, line):
    records = [Record(JENA, 0, 0), Record("jena_000079_000019", 1, 1)]
    path = tmp_path / "labeled.txt"
    path.write_text(line)
    assert read_list(str(path), records, ["_leftImg8bit"]).ids == {JENA}


def test_an_image_that_is_named_twice_is_labeled_once_and_remarked(tmp_path):
    path = tmp_path / "labeled.txt"
    path.write_text("img_0003\nimg_0001\nimg_0003\nimages/img_0003.png\n")
    split = split_labeled(some(6), str(path), 0)
    assert len(split.labeled) == 2
    (remark,) = split.notices
    assert remark == (
        f"labeled names 2 images twice ('img_0003' again in line 3 of {path}); each is labeled once"
    )


JSON = {
    "voc": {"train": ["img_0005"], "labeled": {"unimatch/2": ["img_0001", "img_0003"]}},
    "nested": {"voc": {"labeled": {"2": ["img_0001", "img_0003"]}}},
    "top": {"2": ["img_0001.jpg", "img_0003.jpg"]},
}


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (JSON["voc"], "#unimatch/2"),
        (JSON["voc"], "#labeled/unimatch/2"),
        (JSON["nested"], "#voc/labeled/2"),
        (JSON["top"], "#2"),
        (["img_0003", "img_0001"], ""),
    ],
)
def test_json(tmp_path, content, part):
    path = tmp_path / "voc2012.json"
    path.write_text(json.dumps(content))
    split = split_labeled(some(6), str(path) + part, 0)
    assert ids(split.labeled) == ["img_0001", "img_0003"]
    assert split.name == "voc2012" + part


@pytest.mark.parametrize(
    ("content", "part", "said"),
    [
        (JSON["voc"], "", "contains several lists; give one as"),
        (JSON["voc"], "#unimatch/3", "did you mean 'unimatch/2'?"),
        (["img_0001"], "#2", "holds a list, in which there is no list '2'"),
        ("img_0001", "", "holds a text"),
        ({"2": ["img_0001", 7]}, "#2", "json#2 is 7; expected the id of an image"),
        ({"2": []}, "#2", "names no image"),
        ([], "", "names no image"),
        ({"2": ["img_0001", "img_0009"]}, "#2", "entry 2 of"),
        (["img_0001", ["img_0002"]], "", "is a list; expected the id of an image"),
    ],
)
def test_json_that_is_no_list(tmp_path, content, part, said):
    path = tmp_path / "lists.json"
    path.write_text(json.dumps(content))
    with pytest.raises(UserError) as caught:
        split_labeled(some(6), str(path) + part, 0)
    assert said in str(caught.value)
    assert str(path) in str(caught.value)


def test_broken_json_and_a_part_of_a_text(tmp_path):
    path = tmp_path / "lists.json"
    path.write_text('["img_0001"')
    with pytest.raises(UserError, match="is not JSON"):
        split_labeled(some(6), str(path), 0)
    (tmp_path / "list.txt").write_text("img_0001")
    with pytest.raises(UserError, match="contains a single list; remove #3"):
        split_labeled(some(6), f"{tmp_path / 'list.txt'}#3", 0)
    (tmp_path / "list.txt#3").write_text("img_0002")  # a name that holds the sign
    assert ids(split_labeled(some(6), f"{tmp_path / 'list.txt'}#3", 0).labeled) == ["img_0002"]


def listed_with_hash(source, path, names, digest=None):
    """A list as `ssseg split` writes it."""
    records = [r for r in source.records("train") if r.id in names]
    head = f"# ssseg split photos --labeled 2\n# hash {digest or content_hash(source, records)}\n"
    path.write_text(head + "\n".join(names))
    return lambda: split_labeled(source.records("train"), str(path), 0, source=source)


def test_a_list_with_a_hash_is_held_against_the_masks(tree, tmp_path):
    read = listed_with_hash(Folder(str(tree)), tmp_path / "list.txt", ["a0", "a2"])
    assert ids(read().labeled) == ["a0", "a2"]
    save(np.zeros((24, 32), np.uint8), tree / "train/masks/a1.png")
    assert ids(read().labeled) == ["a0", "a2"]  # a mask that the list does not name
    save(np.zeros((24, 32), np.uint8), tree / "train/masks/a2.png")
    with pytest.raises(UserError, match="the masks or the list have changed") as caught:
        read()
    assert str(tmp_path / "list.txt") in str(caught.value)
    lines = (tmp_path / "list.txt").read_text().splitlines()
    (tmp_path / "list.txt").write_text("\n".join(line for line in lines if "hash" not in line))
    assert ids(read().labeled) == ["a0", "a2"]  # mended as the message says


def test_a_list_that_was_shortened_by_hand_has_another_hash(tree, tmp_path):
    path = tmp_path / "list.txt"
    read = listed_with_hash(Folder(str(tree)), path, ["a0", "a2"])
    path.write_text(path.read_text().removesuffix("\na2"))
    with pytest.raises(UserError, match="masks or the list have changed"):
        read()


def test_a_hash_in_a_list_of_other_origin_is_a_comment(tree, tmp_path):
    source = Folder(str(tree))
    (tmp_path / "list.txt").write_text("# mine\n# hash 0123\na0\n")
    split = split_labeled(source.records("train"), str(tmp_path / "list.txt"), 0, source=source)
    assert ids(split.labeled) == ["a0"]


def test_every_id_in_a_list_is_looked_up_among_its_source(tmp_path):
    (tmp_path / "list.txt").write_text("img_0001.left\n")
    source = Painted(voc_like(4))
    source.endings = (".left",)
    assert ids(source.split(str(tmp_path / "list.txt")).labeled) == ["img_0001"]


CITY = "_leftImg8bit"
PUBLISHED = {
    "cct_voc_100_supervised.txt": ("voc2012", 100),
    "cps_1_16_labeled.txt": ("cityscapes", 186),
    "cps_cityscapes_1_8_labeled.txt": ("cityscapes", 372),
    "guidedmix_cityscapes_100_supervised.txt": ("cityscapes", 100),
    "u2pl_cityscapes_186_labeled.txt": ("cityscapes", 186),
    "u2pl_pascal_662_labeled.txt": ("voc2012", 662),
    "unimatch_cityscapes_1_16_labeled.txt": ("cityscapes", 186),
    "unimatch_pascal_92_labeled.txt": ("voc2012", 92),
}


SAME = {
    "cct_voc_100_supervised.txt": "cct/100",
    "cps_1_16_labeled.txt": "torchsemiseg/train_aug_1-16",
    "cps_cityscapes_1_8_labeled.txt": "torchsemiseg/train_aug_1-8",
    "guidedmix_cityscapes_100_supervised.txt": "guidedmix/100",
    "u2pl_cityscapes_186_labeled.txt": "u2pl/186",
    "u2pl_pascal_662_labeled.txt": "u2pl/662",
    "unimatch_cityscapes_1_16_labeled.txt": "unimatch/1_16",
    "unimatch_pascal_92_labeled.txt": "unimatch/92",
}


@pytest.mark.parametrize("file", PUBLISHED)
def test_published_lists_as_they_stand(published, file):
    name, count = PUBLISHED[file]
    content, records = training(published, name)
    found = read_list(str(published / "formats" / file), records, [CITY])
    assert found.ids == set(content["labeled"][SAME[file]])
    assert len(found.ids) == count
    assert found.notices == ()


def test_there_is_no_published_list_that_is_not_read(published):
    texts = {path.name for path in (published / "formats").glob("*.txt")}
    assert texts == set(PUBLISHED)


@pytest.mark.parametrize("name", ["voc2012", "cityscapes"])
def test_published_lists_in_one_file(published, name):
    content, records = training(published, name)
    for part, expected in content["labeled"].items():
        found = read_list(f"{published / name}.json#{part}", records)
        assert found.ids == set(expected)
        assert len(found.ids) == len(expected)
        assert found.name == f"{name}#{part}"
