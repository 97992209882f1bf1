"""The largest batch is found without trying what cannot fit."""

from ssseg.cli.main import main
from tests.cli.small_runs import TINY


def test_the_verb(capsys):
    assert main(["find-batch-size", *TINY, "--data.unlabeled_batch_size", "4"]) == 0
    said = capsys.readouterr().out
    assert "8 is the number of images" in said
    assert "largest  --data.batch_size 8 --data.unlabeled_batch_size" in said
    assert "GB on cpu" in said
