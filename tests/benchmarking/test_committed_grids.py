"""The grids that come with ssseg, in a checkout and in a wheel."""

import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from ssseg.benchmarking import committed_grids as committed
from ssseg.benchmarking.committed_grids import committed_grid, committed_grids, listed
from ssseg.benchmarking.grid import plan
from ssseg.benchmarking.grid_file import read_grid
from ssseg.errors import UserError
from tests.test_experiments import GRIDS

ROOT = Path(__file__).parents[2]


def test_a_checkout_has_the_grids_of_experiments_and_no_recipes():
    assert set(committed_grids().values()) == set(GRIDS)
    assert committed_grid("classmix/table1") == ROOT / "experiments" / "classmix" / "table1.yaml"


def test_tables_have_the_order_of_their_numbers():
    names = [name for name in committed_grids() if name.startswith("guidedmix/table")]
    assert names == [f"guidedmix/table{n}" for n in range(1, 11)]


def test_the_list_says_how_many_runs_there_are():
    found = {one.name: one for one in listed()}
    assert list(found) == list(committed_grids())
    for name, file in committed_grids().items():
        grid = read_grid(file)
        assert str(len(grid.rows)) == found[name].size.split()[0]
        assert str(len(plan(grid, Path()))) == found[name].size.split()[2]
    assert found["classmix/table3"].about.startswith("Table 3 of the ClassMix paper: the ablation")


@pytest.mark.parametrize("name", ["classmix/tabel1", "clasmix/table1", "classmix/table_1"])
def test_a_wrong_name_gets_the_nearest_one(name):
    with pytest.raises(UserError, match="did you mean 'classmix/table1'"):
        committed_grid(name)


def test_an_installation_without_grids_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr(committed, "PACKAGE", tmp_path / "lib" / "ssseg")
    with pytest.raises(UserError, match=r"there are no grids in .*experiments; install ssseg"):
        committed_grids()


def grids_of(packages, where):
    """Names and files of the grids of an installation, as a new process finds them."""
    code = "from ssseg.benchmarking.committed_grids import *; from ssseg.benchmarking.grid_file"
    code += " import read_grid\nfor name, file in committed_grids().items():"
    code += " read_grid(file); print(name, file)"
    environment = {**os.environ, "PYTHONPATH": str(packages)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=where, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return dict(line.split(" ", 1) for line in done.stdout.splitlines())


def assert_complete(packages, where):
    found = grids_of(packages, where)
    assert list(found) == list(committed_grids())
    assert all(Path(file).is_relative_to(packages) for file in found.values())


def test_what_a_wheel_is_to_hold_finds_its_grids(tmp_path):
    """The files are laid out as pyproject.toml maps them."""
    targets = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]
    wheel = targets["targets"]["wheel"]
    assert set(wheel["only-include"]) == {"src/ssseg", "experiments"}
    packages = tmp_path / "packages"
    shutil.copytree(ROOT / "src" / "ssseg", packages / "ssseg")
    shutil.copytree(ROOT / "experiments", packages / wheel["sources"]["experiments"])
    assert_complete(packages, tmp_path)


@pytest.mark.slow
def test_a_wheel_that_is_built_finds_its_grids(tmp_path):
    wheel = pytest.importorskip("hatchling.builders.wheel")
    (file,) = wheel.WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])
    packages = tmp_path / "packages"
    with zipfile.ZipFile(file) as archive:
        archive.extractall(packages)
    modules = {path.relative_to(ROOT / "src") for path in (ROOT / "src").rglob("*.py")}
    assert modules == {path.relative_to(packages) for path in packages.rglob("*.py")}
    assert (packages / "ssseg" / "py.typed").is_file()
    assert_complete(packages, tmp_path)
