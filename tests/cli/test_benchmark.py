import shlex

import pytest

from ssseg.cli.main import main
from tests.benchmarking.runs import SMALL


@pytest.mark.usefixtures("in_this_process")
def test_a_dry_run_of_methods(here, capsys):
    args = ["benchmark", "--dry-run", "--methods", "guidedmix", "--seeds", "3,4", "--jobs", "2"]
    assert main([*args, *SMALL]) == 0
    *lines, total = capsys.readouterr().out.splitlines()
    words = [shlex.split(line, comments=True) for line in lines]
    assert [line[3] for line in words] == ["supervised", "guidedmix"] * 2
    assert [line[5] for line in words] == ["3", "3", "4", "4"]
    assert words[0][7] == "runs/benchmark/supervised-seed3"
    assert all(line[8:] == ["--network", "auto", *SMALL] for line in words)
    assert total.endswith("s with 2 at once")
    assert not list(here.iterdir())


@pytest.mark.usefixtures("in_this_process")
def test_seeds_and_folder_of_a_grid_may_be_typed(here, capsys):
    (here / "grid.yaml").write_text("rows: {a: {method: supervised}}\nseeds: 3\n")
    for typed, folders in (
        ([], [f"runs/grid/a-seed{seed}" for seed in (0, 1, 2)]),
        (["--seeds", "7,", "--out", "x"], None),
        (["--seeds", "7,9", "--out", "x"], ["x/a-seed7", "x/a-seed9"]),
    ):
        code = main(["benchmark", "grid.yaml", "--dry-run", *typed, *SMALL])
        captured = capsys.readouterr()
        if folders is None:
            assert code == 2
            assert "option seeds is '7,'" in captured.err
        else:
            lines = captured.out.splitlines()[:-1]
            assert [shlex.split(line)[7] for line in lines] == folders


def test_bad_options_of_the_verb(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for args, complaint in (
        ([], "--methods"),
        (["--seeds", "3"], "either a grid file or --methods"),
        (["grid.yaml", "--methods", "classmix"], "either a grid file or --methods"),
        (["grid.yaml"], "there is no grid grid.yaml"),
        (["supervised,classmix"], "expected a YAML file, or --methods"),
        (["--methods", "clasmix"], "did you mean 'classmix'"),
        (["--methods", "classmix", "--seeds", "few"], "option seeds is 'few'"),
        (["--methods", "classmix", "--jobs", "many"], "--jobs"),
        (["--methods", "classmix", "--jobs", "0"], "option jobs is 0; expected at least 1"),
        (["--methods", "classmix", "--retries", "-1"], "option retries is -1"),
        (["--methods", "classmix", "--launcher", "rya"], "did you mean 'ray'"),
        (["--methods", "classmix", "--address", "x:1"], "address needs --launcher ray"),
        (["--methods", "classmix", "--smoke"], "--smoke needs a grid file"),
    ):
        assert main(["benchmark", *args]) == 2
        err = capsys.readouterr().err
        assert complaint in err
        assert err.count("ssseg: error") == len(err.splitlines()) == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("seeds", ["0", "-1"])
def test_no_seed_at_all_is_refused(here, capsys, seeds):
    (here / "grid.yaml").write_text("rows: {a: {method: supervised}}")
    assert main(["benchmark", "grid.yaml", "--seeds", seeds]) == 2
    assert "seed" in capsys.readouterr().err


@pytest.mark.usefixtures("in_this_process")
def test_labels_and_options_are_no_markup(here, capsys):
    (here / "grid.yaml").write_text("rows: {'[red] :smile:': {method: supervised}}")
    assert main(["benchmark", "grid.yaml", "--dry-run", "--out", "[/old]", *SMALL]) == 0
    assert shlex.split(capsys.readouterr().out.splitlines()[0])[7] == "[/old]/red-smile-seed0"


def test_splits_and_networks_of_a_grid_are_its_own(here, capsys):
    (here / "grid.yaml").write_text("rows: {a: {method: supervised}}")
    assert main(["benchmark", "grid.yaml", "--splits", "1/8"]) == 2
    assert "option --splits needs --methods" in capsys.readouterr().err


def test_a_grid_after_methods_is_refused(here, capsys):
    (here / "grid.yaml").write_text("rows: {a: {method: supervised}}")
    for args in (["--methods", "cutmix", "--dry-run", "grid.yaml"], ["--dry-run", "grid.yaml"]):
        assert main(["benchmark", *args]) == 2
        assert "grid.yaml" in capsys.readouterr().err
