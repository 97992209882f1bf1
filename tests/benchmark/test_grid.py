from pathlib import Path

import pytest

from ssseg.benchmark.grid import plan
from ssseg.errors import UserError


def test_every_method_with_every_seed_and_all_else_equal():
    runs = plan(["supervised", "classmix"], [0, 1], Path("out"), ["--trainer.max_steps", "5"])
    assert [run.name for run in runs] == [
        "supervised seed 0",
        "classmix seed 0",
        "supervised seed 1",
        "classmix seed 1",
    ]
    assert len({run.folder for run in runs}) == 4
    for run in runs:
        assert run.args[:3] == ["fit", "--method", run.method]
        assert run.args[run.args.index("--seed_everything") + 1] == str(run.seed)
        assert run.args[-2:] == ["--trainer.max_steps", "5"]


def test_options_of_one_method_go_to_that_method_alone():
    options = ["--complexmix.blocks", "[4]", "--data", "street", "--cutmix.area=0.3"]
    runs = {run.method: run.args for run in plan(["complexmix", "cutmix"], [0], Path(), options)}
    assert runs["complexmix"][-4:] == ["--method.blocks", "[4]", "--data", "street"]
    assert runs["cutmix"][-3:] == ["--data", "street", "--method.area=0.3"]


def test_an_unknown_method_is_refused_before_anything_trains():
    with pytest.raises(UserError, match="did you mean 'classmix'"):
        plan(["supervised", "clasmix"], [0], Path(), [])
    with pytest.raises(UserError, match="at least one"):
        plan(["supervised"], [], Path(), [])
