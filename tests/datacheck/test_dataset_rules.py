import shutil

import numpy as np

import ssseg
from tests.data.trees import draw_pair, draw_tree, paint, save
from tests.datacheck.faults import finding, kinds, mask


def test_the_crop_fits_most_images():
    def crop(*sizes):
        from ssseg.datacheck.counts import propose_crop
        from ssseg.datacheck.scan import ImageFacts, ScannedImage

        facts = [ImageFacts(*size, 3, "uint8", "png", 1, "") for size in sizes]
        return propose_crop([ScannedImage("unlabeled", None, image, None, ()) for image in facts])

    assert crop((360, 480)) == (352, 352)
    assert crop((3000, 4000)) == (512, 512)
    assert crop((20, 30)) == (32, 32)
    assert crop((40, 500), (100, 90), (130, 600)) == (64, 64)
    assert crop() is None


def test_small_images_will_be_padded(tmp_path):
    root = draw_tree(tmp_path / "photos", size=(70, 100), unlabeled=1)
    save(paint(mask()), root / "unlabeled" / "small.png")
    found = finding(ssseg.doctor(root=root), "image_small")
    assert (found["severity"], found["files"]) == ("note", ["unlabeled/small.png"])
    assert "smaller than crops of 64 x 64" in found["text"]


def test_test_images_do_not_keep_training_from_starting(tmp_path):
    root = draw_tree(tmp_path / "photos", test=2)
    (root / "test" / "images" / "a1.png").write_bytes(b"")
    (root / "test" / "masks" / "a0.png").unlink()
    report = ssseg.doctor(root=root)
    assert finding(report, "image_empty")["severity"] == "warning"
    assert finding(report, "mask_missing")["severity"] == "warning"
    assert report["verdict"]["ok"]


def test_a_labeled_image_in_test_spoils_the_scores(tmp_path):
    root = draw_tree(tmp_path / "photos")
    draw_pair(root, "test", "t", np.random.default_rng(5))
    shutil.copy(root / "train" / "images" / "a1.png", root / "test" / "images" / "t.png")
    report = ssseg.doctor(root=root)
    assert finding(report, "duplicates_labeled_test")["severity"] == "error"
    assert report["verdict"]["text"] == "training cannot start: 1 problem"


def test_a_method_decides_what_unlabeled_images_are_worth(tmp_path):
    root = draw_tree(tmp_path / "photos")
    (root / "unlabeled" / "u1.png").write_bytes(b"")
    assert ssseg.doctor(root=root, method="supervised")["verdict"]["ok"]
    assert not ssseg.doctor(root=root, method="classmix")["verdict"]["ok"]
    shutil.rmtree(root / "unlabeled")
    assert ssseg.doctor(root=root, method="supervised")["verdict"]["ok"]
    report = ssseg.doctor(root=root, method="classmix")
    assert finding(report, "no_unlabeled")["severity"] == "error"


def test_few_images(tmp_path):
    root = draw_tree(tmp_path / "photos")
    report = ssseg.doctor(root=root, labeled=5, batch_size=6, method="cutmix")
    assert "only 5; give --data.batch_size 5" in finding(report, "few_labeled")["text"]
    report = ssseg.doctor(root=root, batch_size=5, method="cutmix")
    assert "--data.unlabeled_batch_size 4" in finding(report, "few_unlabeled")["text"]
    assert "few_unlabeled" not in kinds(ssseg.doctor(root=root, batch_size=5, method="supervised"))


def test_a_coverage_is_chosen_whatever_is_wrong_with_some_masks(tmp_path):
    root = draw_tree(tmp_path / "photos")
    for name in ("a1", "a2", "a3"):
        (root / "train" / "masks" / f"{name}.png").write_bytes(b"")
    report = ssseg.doctor(root=root, labeled="2/class", batch_size=2)
    assert report["verdict"]["ok"]
    assert report["data"]["split"] == "2/class seed 0"
