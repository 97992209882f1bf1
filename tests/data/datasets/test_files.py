"""Folders are read as people see them: through links, and what is left out is counted."""

import unicodedata
from functools import partial

import numpy as np
import pytest

from ssseg.cli.predict import jobs_of
from ssseg.data.datasets.files import find_images, left_out
from ssseg.data.datasets.folder import Folder
from ssseg.datacheck.dataset import AnyFolder, Plan, open_sets
from ssseg.errors import UserError
from tests.data.trees import data_of, draw_mask, draw_tree, ids, paint, save


def photographs(folder, count, name="far"):
    rng = np.random.default_rng(1)
    for i in range(count):
        save(paint(draw_mask(rng)), folder / f"{name}{i}.png")
    return folder


@pytest.fixture
def tree(tmp_path):
    return draw_tree(tmp_path / "data")


def test_linked_folders_are_looked_into(tree, tmp_path):
    far = photographs(tmp_path / "elsewhere", 10)
    (far / ".hidden").mkdir()
    (tree / "unlabeled" / "street").symlink_to(far, target_is_directory=True)
    source = Folder(str(tree))
    found = ids(source.unlabeled())
    assert len(found) == 4 + 10
    assert "street/far3.png" in found
    assert not source.notices()
    jobs = list(jobs_of([tree / "unlabeled"], tree / "predictions"))
    assert len(jobs) == 14
    assert str(jobs[0].name) == "street/far0"


def test_each_folder_is_looked_into_once(tmp_path):
    photographs(tmp_path / "b", 3)
    (tmp_path / "a").symlink_to(tmp_path / "b", target_is_directory=True)
    (tmp_path / "b" / "loop").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "b" / "self").symlink_to("self")
    # by its own name, not by that of a link that comes first
    assert find_images(tmp_path, deep=True) == [tmp_path / "b" / f"far{i}.png" for i in range(3)]


def test_broken_links_are_counted(tree):
    for i in range(4):
        path = tree / "train" / "images" / f"a{i}.png"
        path.unlink()
        path.symlink_to(f"/nowhere/{path.name}")
    data = data_of(tree)
    assert len(data.source.records("train")) == 4
    (remark,) = data.notices()
    assert f"{tree / 'train' / 'images'}: 4 files are left out (4 broken links; e.g. a0" in remark


def test_what_is_no_image_is_counted_once(tree):
    for name in ("a.HEIC", "b.heic", "c.gif", "notes.txt", "a.json", ".DS_Store", "more/d.avif"):
        path = tree / "unlabeled" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x")
    (remark,) = Folder(str(tree)).notices()
    assert "4 files are left out (2 .heic, 1 .gif, 1 .avif; e.g. a.HEIC)" in remark
    assert left_out([tree / "unlabeled"], deep=True) == [remark]
    sets = open_sets(partial(Folder, str(tree)), Plan())
    assert [(f.severity, f.kind, f.text) for f in sets.findings] == [
        ("warning", "left_out", remark)
    ]


def test_a_folder_without_images_says_what_it_holds(tree, tmp_path):
    (tmp_path / "phone").mkdir()
    (tmp_path / "phone" / "IMG_1.HEIC").write_bytes(b"x")
    with pytest.raises(UserError, match=r"no images in .*phone \(it holds 1 \.heic, which"):
        Folder(str(tree), str(tmp_path / "phone")).unlabeled()
    with pytest.raises(UserError, match=r"no images in .*phone \(it holds 1 \.heic"):
        list(jobs_of([tmp_path / "phone"], tmp_path / "predictions"))


def renamed(folder, form):
    for path in sorted(folder.iterdir()):
        number = path.stem[1:]
        path.rename(path.with_name(unicodedata.normalize(form, f"café{number}.png")))


def test_accents_are_written_in_two_ways(tree, tmp_path):
    renamed(tree / "train" / "images", "NFD")
    renamed(tree / "train" / "masks", "NFC")
    chosen = tmp_path / "list.txt"
    for form in ("NFC", "NFD"):
        chosen.write_text(unicodedata.normalize(form, "café1\ncafé3\ncafé4\n"), encoding="utf-8")
        data = data_of(tree, labeled=str(chosen))
        data.prepare("fit", 2)
        assert ids(data.split.labeled) == ["café1", "café3", "café4"]
    found = AnyFolder(str(tree))
    assert len(found.records("train")) == 8
    assert not found.findings
    photographs(tree / "unlabeled", 1, unicodedata.normalize("NFD", "é"))
    assert "é0.png" in ids(Folder(str(tree)).unlabeled())


def test_one_name_written_in_two_ways_is_two_files(tree):
    for form in ("NFC", "NFD"):
        photographs(tree / "train" / "images", 1, unicodedata.normalize(form, "é"))
    with pytest.raises(UserError, match=r"in the encoding of accents; .* rename or remove one"):
        Folder(str(tree)).records("train")


@pytest.mark.parametrize("ending", [".gif", ".npy", ".jpg", ".json"])
def test_a_mask_in_another_format_is_named(tree, ending):
    masks = tree / "train" / "masks"
    for i in range(2):
        (masks / f"a{i}.png").rename(masks / f"a{i}{ending}")
    words = rf"a0\.png has no mask: expected .*masks/a0\.png, but found a0\{ending}, .* as PNG"
    with pytest.raises(UserError, match=words) as caught:
        Folder(str(tree)).records("train")
    assert "(2 images of train have none)" in str(caught.value)
    found = AnyFolder(str(tree))
    found.records("train")
    (finding,) = found.findings
    assert finding.kind == ("mask_lossy" if ending == ".jpg" else "mask_format")
    assert len(finding.files) == 2


def test_a_mask_that_is_a_broken_link_is_named(tree):
    path = tree / "train" / "masks" / "a2.png"
    path.unlink()
    path.symlink_to("/nowhere/a2.png")
    with pytest.raises(UserError, match=r"but a2\.png is a broken link"):
        Folder(str(tree)).records("train")
