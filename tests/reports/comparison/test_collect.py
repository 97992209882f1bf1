"""Which folders are runs, and what is missing of the others."""

import pytest

from ssseg.errors import UserError
from tests.benchmarking.folders import study, write
from tests.reports.comparison.reports import report

NEEDED = ("seed", "exposures", "seconds", "data_wait", "peak_memory_mb", "device", "command")
NEEDED += ("versions", "data__classes", "data__unlabeled", "data__batch_size", "data")


@pytest.mark.parametrize("key", NEEDED)
def test_a_summary_without_what_every_run_writes_is_no_run_of_ours(tmp_path, key):
    write(tmp_path / "supervised", "supervised", 0.4)
    write(tmp_path / "classmix", "classmix", 0.4, **{key: None})
    made = report(tmp_path)
    assert [[row.label for row in table.rows] for table in made.tables] == [["supervised"]]
    (one,) = made.left_out
    assert one.folder.name == "classmix"
    assert f"its summary.json has no {key.replace('__', '.')}" in one.reason


def test_a_folder_is_read_once_however_it_is_named(tmp_path, monkeypatch):
    study(tmp_path / "x")
    monkeypatch.chdir(tmp_path)
    made = report("x", tmp_path / "x", "x/classmix-0")
    assert len(made.entries) == 6
    assert not made.left_out


def test_no_runs_is_one_sentence(tmp_path):
    for places in ([tmp_path], []):
        with pytest.raises(UserError, match="no finished run with scores in"):
            report(*places)
    with pytest.raises(UserError, match="there is no folder"):
        report(tmp_path / "nowhere")
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "config.yaml").touch()
    with pytest.raises(UserError, match="half: not finished"):
        report(tmp_path)
