import json

import pytest
import yaml

from ssseg.benchmarking.earlier_runs import earlier_run
from ssseg.benchmarking.preflight import Forecast
from ssseg.runs.run import config_hash

CONFIG = {"trainer": {"max_steps": 8}, "seed_everything": 3, "out": "anywhere"}
DATA = {"name": "street", "val": 4, "unlabeled": 16}


def forecast(config=CONFIG, split="abc", **data):
    return Forecast(config, config_hash(config), split, 10, None, {**DATA, **data})


def finished(folder, **changes):
    summary = {
        "config_hash": config_hash(CONFIG),
        "seed": 3,
        "data": {"split_hash": "abc", "val": 4, "unlabeled": 16},
    }
    folder.mkdir()
    (folder / "command.json").write_text("[]")
    (folder / "summary.json").write_text(json.dumps({**summary, **changes}))
    return folder


def unfinished(folder, config=CONFIG):
    folder.mkdir()
    (folder / "command.json").write_text("[]")
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    return folder


def test_a_finished_run_comes_before_one_that_can_be_resumed(tmp_path):
    assert earlier_run(tmp_path / "nowhere", forecast(), 3) is None
    (tmp_path / "file").touch()
    begun = unfinished(tmp_path / "a")
    assert earlier_run(tmp_path, forecast(), 3) == begun
    done = finished(tmp_path / "b")
    assert earlier_run(tmp_path, forecast(), 3) == done


@pytest.mark.parametrize(
    "changes",
    [
        {"config_hash": "other"},
        {"seed": 4},
        {"data": {"split_hash": "other", "val": 4, "unlabeled": 16}},
        {"data": {"split_hash": "abc", "val": 5, "unlabeled": 16}},
        {"data": {"split_hash": "abc", "val": 4, "unlabeled": 17}},
        {"data": None},
    ],
)
def test_a_run_of_anything_else_is_passed_over(tmp_path, changes):
    finished(tmp_path / "a", **changes)
    assert earlier_run(tmp_path, forecast(), 3) is None


def test_unlabeled_images_are_no_matter_to_a_method_that_does_not_see_them(tmp_path):
    found = finished(tmp_path / "a", data={"split_hash": "abc", "val": 4, "unlabeled": 99})
    assert earlier_run(tmp_path, forecast(unlabeled=None), 3) == found


def test_an_unfinished_run_of_other_options_or_seed_is_passed_over(tmp_path):
    unfinished(tmp_path / "a", {**CONFIG, "trainer": {"max_steps": 9}})
    unfinished(tmp_path / "b", {**CONFIG, "seed_everything": 4})
    (unfinished(tmp_path / "c") / "config.yaml").write_text("{")
    (unfinished(tmp_path / "d") / "config.yaml").unlink()
    assert earlier_run(tmp_path, forecast(), 3) is None
