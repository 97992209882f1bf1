"""What the library changes in the process that it is used in: nothing that stays."""

import logging
import subprocess
import sys
import warnings

import cv2
import pytest
from PIL import Image

from ssseg.data.timed_loader import Waiting, WatchedLoader
from ssseg.errors import UserError
from ssseg.runs.quiet import LEVELS, quiet

IMPORT = """
import cv2, warnings
cv2.setNumThreads(3)
import ssseg.data.module, ssseg.prediction.predictor
from PIL import Image
assert cv2.getNumThreads() == 3, cv2.getNumThreads()
assert not [f for f in warnings.filters if f[2] is Image.DecompressionBombWarning]
"""


def test_imports_change_neither_opencv_nor_warnings():
    subprocess.run([sys.executable, "-c", IMPORT], check=True)


def test_filters_and_levels_come_back():
    def state():
        return list(warnings.filters), [logging.getLogger(name).level for name in LEVELS]

    @quiet()
    def failing():
        assert state() != before
        warnings.simplefilter("ignore")  # whoever trains inside has filters of their own
        raise ZeroDivisionError

    before = state()
    with pytest.raises(ZeroDivisionError):
        failing()
    assert state() == before


def test_a_verb_leaves_everything_as_it_was(monkeypatch):
    import ssseg.cli.lightning_cli as options
    from ssseg.cli.train import run

    seen = []

    def spell_out(rest):
        seen.append((cv2.getNumThreads(), len(warnings.filters)))
        raise UserError("enough")

    monkeypatch.setattr(options, "expand_aliases", spell_out)
    threads = cv2.getNumThreads()
    cv2.setNumThreads(3)
    before = list(warnings.filters)
    try:
        with pytest.raises(UserError, match="enough"):
            run(["fit"])
        assert cv2.getNumThreads() == 3
    finally:
        cv2.setNumThreads(threads)
    assert seen == [(1, seen[0][1])]
    assert seen[0][1] > len(before)
    assert warnings.filters == before


class Threads:
    """A data set that says how OpenCV computes."""

    def __len__(self):
        return 1

    def __getitem__(self, index):
        with warnings.catch_warnings(record=True) as seen:
            warnings.warn(
                "Image size (90000000 pixels) exceeds limit of 89478485 pixels, could be "
                "decompression bomb DOS attack.",
                Image.DecompressionBombWarning,
                stacklevel=1,
            )
        return cv2.getNumThreads(), len(seen)


def test_processes_that_read_images_compute_in_one_thread():
    threads = cv2.getNumThreads()
    cv2.setNumThreads(3)
    try:
        loader = WatchedLoader(Waiting(), Threads(), num_workers=1, batch_size=None)
        assert next(iter(loader)) == [1, 0]
    finally:
        cv2.setNumThreads(threads)
