"""Masks are read on several threads, and once for all runs and processes of a data set."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from ssseg.data.datasets.files import Files
from ssseg.data.datasets.folder import Folder
from ssseg.data.reading import in_threads, kept
from ssseg.errors import UserError
from tests.data.trees import data_of, draw_tree, save


@pytest.fixture
def opened(monkeypatch):
    """Masks that were decoded."""
    seen = []
    read = Files.read_values

    def counted(source, record):
        seen.append(record.mask)
        return read(source, record)

    monkeypatch.setattr(Files, "read_values", counted)
    return seen


def look(root, **options):
    """What every run and every process of it does with its masks before training."""
    data = data_of(root, **options)
    data.prepare("fit", 2)
    return data.contents


def test_a_second_run_opens_no_mask(tmp_path, opened):
    first = look(draw_tree(tmp_path))
    assert len(set(opened)) == 4 + 3  # labeled and validation
    opened.clear()
    assert look(tmp_path) == first
    assert not opened
    look(tmp_path, select="stratified")
    assert len(opened) >= 8  # all training masks, for the choice
    opened.clear()
    look(tmp_path, select="stratified")
    assert not opened


def test_what_was_changed_is_read_again(tmp_path, opened):
    first = look(draw_tree(tmp_path), labeled="all")
    mask = tmp_path / "train" / "masks" / "a2.png"
    save(np.zeros((24, 32), np.uint8), mask)
    changed = look(tmp_path, labeled="all")
    assert changed.hash != first.hash
    assert changed.pixels[0] > first.pixels[0]
    save(np.full((24, 32), 7, np.uint8), mask)
    with pytest.raises(UserError, match=r"a2\.png holds the value 7"):
        look(tmp_path, labeled="all")
    with pytest.raises(UserError, match=r"a2\.png holds the value 7"):  # errors are not kept
        look(tmp_path, labeled="all")


def test_another_class_list_gives_masks_another_meaning(tmp_path, opened):
    look(draw_tree(tmp_path), labeled="all")
    (tmp_path / "classes.json").write_text('["sky", "road"]')
    with pytest.raises(UserError, match="names 2 classes"):
        look(tmp_path, labeled="all")


def test_readers_that_are_not_ours_are_asked_every_time(tmp_path, opened):
    class Own(Folder):
        pass

    source = Own(str(draw_tree(tmp_path)))
    for _ in range(2):
        opened.clear()
        source.check(source.records("val"))
        assert len(opened) == 3


def test_the_first_of_several_errors_is_reported(tmp_path):
    draw_tree(tmp_path)
    for name in ("a0", "a1", "a2"):
        (tmp_path / "val" / "masks" / f"{name}.png").write_bytes(b"")
    for _ in range(3):
        with pytest.raises(UserError, match=r"val/masks/a0\.png"):
            look(tmp_path)


def test_processes_that_ask_at_the_same_time_wait_for_one(tmp_path):
    (tmp_path / "a").write_text("a")
    asked, together = [], threading.Barrier(3)

    def find():
        asked.append(1)
        return len(asked)

    def ask(_):
        together.wait()
        return kept("how many", [tmp_path / "a"], find)

    with ThreadPoolExecutor(3) as pool:
        # each opens the file anew, which the operating system's lock holds for another process
        assert list(pool.map(ask, range(3))) == [1, 1, 1]
    assert asked == [1]


def test_a_cache_folder_that_cannot_be_used_costs_time_only(tmp_path, monkeypatch, opened):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("SSSEG_CACHE", str(tmp_path / "file"))
    draw_tree(tmp_path / "data")
    assert look(tmp_path / "data") == look(tmp_path / "data")
    assert len(opened) == 2 * (4 + 3 + 4)


def test_threads_keep_the_order_and_little_ahead():
    started = []

    def square(number):
        started.append(number)
        return number**2

    found = in_threads(square, range(1000))
    assert [next(found) for _ in range(3)] == [0, 1, 4]
    assert len(started) < 50
    found.close()
