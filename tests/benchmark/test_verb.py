import numpy as np
from PIL import Image

from ssseg.cli import main
from ssseg.run import Run

SMALL = [
    *("--data.train_images", "24", "--data.val_images", "4", "--data.size", "32"),
    *("--data.labeled", "8", "--data.batch_size", "4", "--trainer.accelerator", "cpu"),
    *("--trainer.max_steps", "2"),
]


def test_two_methods_side_by_side(tmp_path, capsys):
    """Real processes, a table, a picture; what is finished is not trained again."""
    out = tmp_path / "study"
    args = ["benchmark", "--methods", "supervised,classmix", "--jobs", "2", "--out", str(out)]
    assert main([*args, *SMALL]) == 0
    printed = capsys.readouterr().out
    assert "supervised seed 0: finished" in printed
    assert "classmix seed 0: finished" in printed
    table = (out / "comparison.md").read_text(encoding="utf-8")
    assert table.count("| classmix |") == 1
    assert np.asarray(Image.open(out / "comparison.png")).shape[0] > 500
    runs = [Run(out / f"{method}-seed0") for method in ("supervised", "classmix")]
    assert len({run.summary["data"]["split_hash"] for run in runs}) == 1

    before = (out / "classmix-seed0" / "summary.json").stat().st_mtime_ns
    assert main([*args, *SMALL]) == 0
    assert "finished before" in capsys.readouterr().out
    assert (out / "classmix-seed0" / "summary.json").stat().st_mtime_ns == before


def test_a_run_that_fails_is_reported_with_its_reason(tmp_path, capsys):
    out = tmp_path / "study"
    args = ["benchmark", "--methods", "supervised,classmix", "--jobs", "2", "--out", str(out)]
    assert main([*args, *SMALL, "--classmix.threshold", "high"]) == 2
    captured = capsys.readouterr()
    assert "1 of 2 runs failed" in captured.err
    assert "option method.threshold is 'high'; expected a number" in captured.err
    assert (out / "supervised-seed0" / "summary.json").is_file()


def test_bad_options_of_the_verb(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for args, complaint in (
        ([], "--methods"),
        (["--methods", "clasmix"], "did you mean 'classmix'"),
        (["--methods", "classmix", "--seeds", "few"], "option seeds is 'few'"),
    ):
        assert main(["benchmark", *args]) == 2
        assert complaint in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
