from pathlib import Path

from ssseg.cli.main import main
from tests.benchmarking.folders import study, write


def test_the_verb(tmp_path, capsys, monkeypatch):
    study(tmp_path / "runs")
    monkeypatch.chdir(tmp_path)
    assert main(["report", "runs"]) == 0
    said = capsys.readouterr().out
    assert "classmix" in said
    assert f"report   {Path('runs/report/report.html')}" in said
    assert (tmp_path / "runs" / "report" / "report.html").is_file()
    assert main(["report", "runs", "--out", "x", "--mix"]) == 0
    assert (tmp_path / "x" / "report.md").is_file()
    write(tmp_path / "runs" / "more [/x]", "cutmix", 0.5, steps=7)
    assert main(["report", "runs"]) == 0
    assert "differs in: steps" in " ".join(capsys.readouterr().out.split())


def test_bad_options_of_the_verb(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for args, complaint in (
        ([], "RUNS"),
        (["nowhere"], "there is no folder nowhere"),
        (["."], "no finished run with scores"),
        (["--mixed", "."], "--mixed"),
    ):
        assert main(["report", *args]) == 2
        err = capsys.readouterr().err
        assert complaint in err
        assert err.count("ssseg: error") == len(err.splitlines()) == 1
    assert not list(tmp_path.iterdir())
