"""`ssseg reproduce`: the list, what a table needs, and scores beside the paper's."""

import re

import pytest

import ssseg
from ssseg.benchmarking import api as call
from ssseg.benchmarking import committed_grids as committed
from ssseg.cli.main import main
from tests.benchmarking.runs import SMALL
from tests.cli.small_runs import fresh

GRID = """# Table 1 of a paper: drawn scenes.
rows: {supervised: {method: supervised}, cutmix: {method: cutmix}}
columns: {street: {data: street}}
seeds: 2
published: {supervised: {street: 0.5}, cutmix: {street: 99}}
smoke:
  columns: {street: {data: street}}
"""


@pytest.fixture
def paper(here, monkeypatch):
    """A committed grid of two rows and two seeds, `paper/table1`."""
    folder = here / "package" / "experiments" / "paper"
    folder.mkdir(parents=True)
    (folder / "table1.yaml").write_text(GRID)
    monkeypatch.setattr(committed, "PACKAGE", here / "package")
    return folder / "table1.yaml"


def test_without_a_name_the_grids_are_listed_in_columns(capsys):
    assert main(["reproduce"]) == 0
    lines = capsys.readouterr().out.splitlines()
    cells = [re.split(" {2,}", line) for line in lines]
    assert [cell[0] for cell in cells] == list(committed.committed_grids())
    assert {len(cell) for cell in cells} == {3}
    for column in (1, 2):
        starts = {line.index(cell[column]) for line, cell in zip(lines, cells, strict=True)}
        assert len(starts) == 1


def test_the_list_needs_no_torch():
    code = (
        "import sys; from ssseg.cli.main import main; main(['reproduce']);"
        "print('torch' in sys.modules, 'numpy' in sys.modules)"
    )
    assert fresh(code).splitlines()[-1] == "False False"


@pytest.mark.parametrize(
    ("args", "complaint"),
    [
        (["classmix/tabel1"], "did you mean 'classmix/table1'"),
        (["--smoke", "classmix/table1"], "give ssseg reproduce GRID --smoke"),
        (["classmix/table1", "--jobs", "many"], "--jobs"),
        (["classmix/table1"], "option data.root is missing; expected the folder of Cityscapes"),
        (["camvid/eighth", "--smoke"], "has no smoke form"),
    ],
)
def test_mistakes_are_one_sentence(args, complaint, here, capsys):
    assert main(["reproduce", *args]) == 2
    err = capsys.readouterr().err
    assert complaint in err
    assert err.count("ssseg: error") == len(err.splitlines()) == 1
    assert not list(here.iterdir())


@pytest.mark.usefixtures("preflight_here")
def test_a_wrong_folder_gets_the_address_of_the_data(here, capsys):
    (here / "photos").mkdir()
    assert main(["reproduce", "classmix/table3", "--data.root", "photos", "--seeds", "1"]) == 2
    captured = capsys.readouterr()
    assert captured.err.count("there is no leftImg8bit/") == 1
    assert "https://www.cityscapes-dataset.com" in captured.err
    assert "pretrained resnet101 of timm" in captured.out
    assert "14 rows, 14 runs" in captured.out


@pytest.mark.usefixtures("in_this_process")
def test_a_dry_run_says_the_needs_and_trains_nothing(paper, here, capsys):
    before = sorted(here.rglob("*"))
    assert main(["reproduce", "paper/table1", "--dry-run", *SMALL]) == 0
    lines = capsys.readouterr().out.splitlines()
    keys = [line[:9].strip() for line in lines]
    assert keys == ["grid", "", "runs", "data", "time", "memory"]
    assert lines[0].endswith(str(paper))
    assert "Table 1 of a paper: drawn scenes" in lines[1]
    assert lines[2].endswith("2 rows, 4 runs")
    assert re.search(r"4 runs on this machine \(no GPU\): about \d+ (s|min)", lines[4])
    assert sorted(here.rglob("*")) == before


@pytest.mark.usefixtures("in_this_process", "paper")
def test_the_end_is_ours_beside_the_papers_with_the_difference(here, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    assert main(["reproduce", "paper/table1", *SMALL]) == 0
    printed = capsys.readouterr().out
    assert "ours - paper" in printed
    out = here / "runs" / "paper-table1"
    lines = (out / "comparison.md").read_text().splitlines()
    rows = {cells[1].strip(): cells for cells in (line.split("|") for line in lines) if cells[1:]}
    means = ssseg.report(out).columns[0].rows
    for row in means:
        found = rows[row.label][-3].strip()
        ours = sum(row.last.values()) / 2
        assert found.startswith(f"{ours - row.published:+.1f}, ")
        assert rows[row.label][-2].strip() == f"{row.published:.1f}"
    assert rows["cutmix"][-3].strip().endswith("outside")

    # again: nothing is left to be timed or trained
    assert main(["reproduce", "paper/table1", *SMALL]) == 0
    again = capsys.readouterr().out
    assert again.count("already finished") == 4
    assert "\ntime " not in again
    assert "ours - paper" in again


@pytest.mark.slow
def test_a_smoke_form_runs_in_processes_of_its_own(here, capsys):
    small = [*SMALL, "--jobs", "1"]
    assert main(["reproduce", "guidedmix/table3", "--smoke", *small]) == 0
    out = here / "runs" / "guidedmix-table3-smoke"
    assert str(out.relative_to(here) / "comparison.md") in capsys.readouterr().out
    assert len(list(out.glob("*/summary.json"))) == 3


def test_the_python_function_asks_for_the_same_benchmark(here, monkeypatch):
    found = []
    monkeypatch.setattr(call, "run_benchmark", lambda *args: found.append(args))
    ssseg.reproduce("classmix/table1", smoke=True, seeds=2, jobs=3, max_steps=5)
    ((grid, out, work, _),) = found
    assert out.as_posix() == "runs/classmix-table1-smoke"
    assert (list(grid.seeds), work.jobs) == ([0, 1], 3)
    assert "--trainer.max_steps=5" in grid.options
