"""Domain adaptation: which images come from which of two folders."""

import json

import numpy as np
import pytest

from ssseg.cli.main import main
from ssseg.data.datasets.domains import Domains
from ssseg.errors import UserError
from tests.data.trees import CLASSES, draw_tree, save, write_classes


@pytest.fixture
def roots(tmp_path):
    """Two trees whose images have the same names; nothing can read the target's training masks."""
    source = draw_tree(tmp_path / "gta", val=2, unlabeled=5)
    target = draw_tree(tmp_path / "town", train=6, val=3, test=2, unlabeled=4, seed=1)
    for mask in (target / "train" / "masks").iterdir():
        mask.write_bytes(b"not read")
    return source, target


def made(roots):
    return Domains(*map(str, roots))


def test_labels_are_of_the_source_and_all_else_of_the_target(roots):
    source, target = roots
    data = made(roots)
    assert data.name == "gta-to-town"
    sets = {split: data.records(split) for split in ("train", "val", "test")}
    assert {name: len(records) for name, records in sets.items()} == {
        "train": 8,
        "val": 3,
        "test": 2,
    }
    for split, root in (("train", source), ("val", target), ("test", target)):
        assert all(r.image.is_relative_to(root / split) for r in sets[split])
    unlabeled = data.unlabeled()
    assert len(unlabeled) == 6 + 4
    assert all(r.mask is None and r.image.is_relative_to(target) for r in unlabeled)
    assert len({r.id for r in unlabeled}) == 10


def test_each_folder_has_the_values_of_its_own_class_list(roots):
    source, target = roots
    ids = [{"name": name, "id": 10 * i} for i, name in enumerate(CLASSES)]
    write_classes(target, {"classes": ids})
    save(np.array([[0, 10, 20]], np.uint8), target / "val" / "masks" / "a0.png")
    save(np.array([[0, 1, 2]], np.uint8), source / "train" / "masks" / "a0.png")
    data = made(roots)
    for split in ("train", "val"):
        assert data.read_mask(data.records(split)[0]).tolist() == [[0, 1, 2]]
    (target / "classes.json").unlink()
    assert made(roots).read_mask(data.records("val")[1]).max() == 2


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda s, t: write_classes(t, ["sky", "road", "bus"]), "expected the same list"),
        (lambda s, t: (s / "classes.json").unlink(), "classes.json"),
    ],
)
def test_what_does_not_fit_is_refused(roots, change, said):
    change(*roots)
    with pytest.raises(UserError, match=said):
        made(roots)


def test_a_missing_folder_is_named_with_its_option(roots, tmp_path):
    for place, option in enumerate(("labeled_root", "unlabeled_root")):
        given = list(roots)
        given[place] = tmp_path / "nowhere"
        with pytest.raises(UserError, match=f"data.{option} is .*nowhere"):
            made(given)


def test_a_target_without_unlabeled_images_is_refused(roots):
    _, target = roots
    for image in [*(target / "train" / "images").iterdir(), *(target / "unlabeled").iterdir()]:
        image.unlink()
    with pytest.raises(UserError, match="has no images in train/images or unlabeled"):
        made(roots).unlabeled()


def test_dacs_learns_of_the_source_and_is_scored_on_the_target(roots, tmp_path):
    roots = dict(zip(("labeled_root", "unlabeled_root"), roots, strict=True))
    args = [word for name, root in roots.items() for word in (f"--data.{name}", str(root))]
    args += ["--method", "dacs", "--method.warmup_steps", "0", "--network", "small"]
    args += ["--data.crop_size", "16", "--data.num_workers", "0"]
    args += ["--trainer.max_steps", "1", "--trainer.accelerator", "cpu"]
    assert main(["fit", *args, "--out", str(tmp_path / "run")]) == 0
    data = json.loads((tmp_path / "run" / "summary.json").read_text())["data"]
    assert data["name"] == "gta-to-town"
    assert (data["labeled"], data["unlabeled"], data["val"]) == (8, 10, 3)
