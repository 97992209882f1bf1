from itertools import pairwise
from pathlib import Path

import pytest

from ssseg.benchmarking.grid import Grid, plan
from ssseg.benchmarking.grid_file import grid_of
from ssseg.benchmarking.runner import log_of
from ssseg.cli.aliases import expand_aliases
from ssseg.errors import UserError
from tests.benchmarking.grids import planned


def test_every_method_with_every_seed_and_all_else_equal():
    runs = planned(["supervised", "classmix"], [0, 1], ["--trainer.max_steps", "5"])
    assert [run.name for run in runs] == [
        "supervised seed 0",
        "classmix seed 0",
        "supervised seed 1",
        "classmix seed 1",
    ]
    assert [run.folder for run in runs] == [
        Path("out") / f"{method}-seed{seed}"
        for seed in (0, 1)
        for method in ("supervised", "classmix")
    ]
    for run in runs:
        assert run.args[:3] == ["fit", "--method", run.row]
        assert run.args[run.args.index("--seed_everything") + 1] == str(run.seed)
        assert run.args[run.args.index("--out") + 1] == str(run.folder)
        assert run.args[-2:] == ["--trainer.max_steps", "5"]


def test_options_of_one_method_go_to_that_method_alone():
    options = ["--complexmix.blocks", "[4]", "--data", "street", "--cutmix.area=0.3"]
    runs = {run.row: run.args for run in planned(["complexmix", "cutmix"], [0], options)}
    assert runs["complexmix"][-4:] == ["--method.blocks", "[4]", "--data", "street"]
    assert runs["cutmix"][-3:] == ["--data", "street", "--method.area=0.3"]
    assert "[4]" not in runs["cutmix"]


def test_an_unknown_method_is_refused_before_anything_trains():
    with pytest.raises(UserError, match="did you mean 'classmix'"):
        grid_of(["supervised", "clasmix"], [0], [])
    with pytest.raises(UserError, match="at least one"):
        grid_of(["supervised"], [], [])
    with pytest.raises(UserError, match="at least one"):
        grid_of([], [0], [])


def test_methods_share_the_network_of_the_data_set_unless_one_is_named():
    for options in ([], ["--data", "street"], ["--network.encoder", "resnet34"]):
        args = planned(["guidedmix"], [0], options)[0].args
        assert args[args.index("--network") + 1] == "auto"
    for options in (["--network", "fpn"], ["--network=fpn"], ["--config", "x.yaml"]):
        assert "auto" not in planned(["guidedmix"], [0], options)[0].args


def test_a_method_with_a_decoder_of_its_own_gets_the_network_of_the_others():
    built = {}
    for run in planned(["supervised", "guidedmix"], [0], []):
        spelled = expand_aliases(run.args[1:])
        built[run.row] = [pair for pair in pairwise(spelled) if ".network" in pair[0]]
    assert built["guidedmix"] == built["supervised"]
    assert ("--model.network.decoder", "unet") in built["guidedmix"]


def test_a_seed_given_twice_is_refused():
    with pytest.raises(UserError, match="two runs would share the folder"):
        planned(["cutmix"], [1, 1], [])


def test_runs_never_share_a_log(tmp_path):
    grid = Grid({row: {"method": "supervised"} for row in ("< 0.1", "< 0.2")}, {"": {}}, [0])
    assert len({log_of(planned) for planned in plan(grid, tmp_path)}) == 2
