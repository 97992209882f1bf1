"""The largest batch is found without trying what cannot fit."""

import pytest

import ssseg
from ssseg.cli.main import main
from ssseg.errors import UserError
from ssseg.training.batch_size_finder import BatchSizeFinder, TriedBatch
from tests.cli.small_runs import TINY


def test_the_verb(capsys):
    assert main(["find-batch-size", *TINY, "--data.unlabeled_batch_size", "4"]) == 0
    said = capsys.readouterr().out
    assert "8 is the number of images" in said
    assert "largest  --data.batch_size 8 --data.unlabeled_batch_size" in said
    assert "GB on cpu" in said


def test_from_python_it_is_the_verb(monkeypatch, capsys):
    """The same run is tried, and it says the same sizes."""

    def attempt(self, size):
        held, speed = 100.0 + size, 50.0 if size == 4 else 20.0
        return TriedBatch(size, held, speed) if size <= 7 else None

    monkeypatch.setattr(BatchSizeFinder, "attempt", attempt)
    options = {"train_images": 24, "val_images": 4, "size": 32, "labeled": 8}
    found = ssseg.find_batch_size(
        "classmix", network="small", trainer={"accelerator": "cpu"}, **options
    )
    assert [tried.batch_size for tried in found.tried] == [2, 4, 6, 7]
    assert (found.largest, found.fastest, found.most, found.device) == (7, 4, 8, "cpu")
    assert main(["find-batch-size", *TINY]) == 0
    said = capsys.readouterr().out
    assert f"largest  --data.batch_size {found.largest}\n" in said
    assert f"fastest  --data.batch_size {found.fastest}\n" in said


def test_from_python_a_mistake_is_one_sentence():
    with pytest.raises(UserError, match=r"unknown method 'clasmix'.*classmix"):
        ssseg.find_batch_size("clasmix")
    with pytest.raises(UserError, match=r"option of data set street.*'sizes'"):
        ssseg.find_batch_size("classmix", sizes=32)
