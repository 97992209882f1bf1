from tests.benchmarking.folders import write, write_metrics
from tests.reports.comparison.reports import report


def test_what_has_no_numbers_is_listed_with_its_reason(tmp_path):
    write(tmp_path / "good")
    write(tmp_path / "again")
    write(tmp_path / "blind", last={}, best={})
    write(tmp_path / "broken")
    (tmp_path / "broken" / "summary.json").write_text("{")
    write(tmp_path / "strange")
    (tmp_path / "strange" / "summary.json").write_text('{"results": 1}')
    for name in ("half", "dead"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.yaml").touch()
    write_metrics(tmp_path / "half", loss=[1, 2, 3])
    (tmp_path / "dead.log").write_text("step 1\nssseg: error: out of memory\n")
    made = report(tmp_path)
    assert [len(table.rows[0].entries) for table in made.tables] == [1]
    reasons = {one.folder.name: one.reason for one in made.left_out}
    assert set(reasons) == {"blind", "broken", "strange", "half", "dead", "good"}
    assert "not validated" in reasons["blind"]
    assert "cannot be read" in reasons["broken"]
    assert "has no method.name" in reasons["strange"]
    assert "ends at step 30" in reasons["half"]
    assert reasons["dead"].endswith("its log ends with: out of memory")
    assert "repeats" in reasons["good"]
    for text in (made.html(), made.markdown()):
        assert all(reason.split("'")[0] in text for reason in reasons.values())
