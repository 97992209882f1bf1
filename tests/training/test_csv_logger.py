"""Rows of metrics.csv survive whatever happens to the run."""

import csv

import pytest

from ssseg.runs.run import Run, earlier_rows
from ssseg.training.csv_logger import StepLogger, rows_before


def logged(folder, *rows):
    logger = StepLogger(folder, None)
    for step, metrics in rows:
        logger.log_metrics(metrics, step)
    return logger


def test_rows_and_new_columns(tmp_path):
    logged(tmp_path, (0, {"loss": 2.5}), (1, {"loss": 2.25}), (1, {"val/miou": 0.5}))
    rows = [{"step": 0.0, "loss": 2.5}, {"step": 1.0, "loss": 2.25}, {"step": 1.0, "val/miou": 0.5}]
    assert Run(tmp_path).metrics == rows


def test_what_has_no_value_stays_empty(tmp_path):
    logged(tmp_path, (0, {"loss": 1.0, "accuracy": float("nan")}), (1, {"accuracy": 0.5}))
    assert Run(tmp_path).metrics == [{"step": 0.0, "loss": 1.0}, {"step": 1.0, "accuracy": 0.5}]


def test_every_row_is_in_the_file_at_once(tmp_path):
    """Nothing is held back for later: there may be none."""
    logger = StepLogger(tmp_path, None)
    for step in range(3):
        logger.log_metrics({"loss": 1.0}, step)
        assert len(Run(tmp_path).metrics) == step + 1


def test_a_new_file_takes_the_place_of_the_old_one_when_whole(tmp_path, monkeypatch):
    logger = logged(tmp_path, (0, {"loss": 2.0}), (1, {"loss": 1.0}))
    before = (tmp_path / "metrics.csv").read_bytes()

    def interrupted(self, rows):
        raise KeyboardInterrupt

    monkeypatch.setattr(csv.DictWriter, "writerows", interrupted)
    with pytest.raises(KeyboardInterrupt):
        logger.log_metrics({"val/miou": 0.5}, 1)
    assert (tmp_path / "metrics.csv").read_bytes() == before


def test_a_row_that_is_cut_off_is_none(tmp_path):
    """Even where its step is whole: another number may not be."""
    logged(tmp_path, (0, {"step_size": 0.125}), (1, {"step_size": 0.375}))
    path = tmp_path / "metrics.csv"
    assert [row["step"] for row in earlier_rows(tmp_path, 5)] == [0, 1]
    path.write_bytes(path.read_bytes()[:-4])
    assert [row["step"] for row in earlier_rows(tmp_path, 5)] == [0]


def test_a_checkpoint_has_the_row_that_was_still_to_be_written(tmp_path):
    logged(tmp_path, (1, {"loss": 2.0}), (3, {"val/miou": 0.5}), (5, {"loss": 1.0}))
    own = {"step": 3, "loss": 1.5}
    saved = {"global_step": 4, "callbacks": {"LastCheckpoint": {"row": own}}}
    assert [row["step"] for row in rows_before(tmp_path, saved)] == [1, 3, 3]
    saved["callbacks"]["LastCheckpoint"]["row"] = {"step": 1, "loss": 2.0}  # which is there
    assert [row["step"] for row in rows_before(tmp_path, saved)] == [1, 3]
    assert [row["step"] for row in rows_before(tmp_path, {**saved, "callbacks": {}})] == [1, 3]
