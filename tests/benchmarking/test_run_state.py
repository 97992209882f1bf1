"""What lies in the folder of a planned run is that run, or nothing trains."""

import json

import pytest
import yaml

from ssseg.benchmarking.grid import Planned
from ssseg.benchmarking.preflight import Forecast
from ssseg.benchmarking.run_state import check_run_state
from ssseg.errors import UserError
from ssseg.runs.run import config_hash
from tests.benchmarking.runs import CONFIG, changed


@pytest.fixture
def planned(tmp_path):
    return Planned("cutmix", "", 3, tmp_path / "run", ["fit", "--method", "cutmix"])


def forecast(config=CONFIG, split_hash="abc"):
    return Forecast(config, config_hash(config), split_hash, 1, None)


def leave(folder, config=CONFIG, split_hash="abc", *, summary=True, tested=False):
    """A folder as a run leaves it."""
    folder.mkdir()
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    (folder / "command.json").write_text("[]")
    if summary:
        (folder / "summary.json").write_text(json.dumps({"data": {"split_hash": split_hash}}))
    if tested:
        (folder / "test").mkdir()
        (folder / "test" / "scores.json").write_text("{}")


def test_how_far_it_is(planned):
    assert check_run_state(planned, forecast()) == "new"
    planned.folder.mkdir()
    assert check_run_state(planned, forecast()) == "new"
    planned.folder.rmdir()
    leave(planned.folder, summary=False)
    assert check_run_state(planned, forecast()) == "unfinished"
    (planned.folder / "summary.json").write_text(json.dumps({"data": {"split_hash": "abc"}}))
    assert check_run_state(planned, forecast()) == "finished"
    tested = planned._replace(test=True)
    assert check_run_state(tested, forecast()) == "trained"
    (planned.folder / "test").mkdir()
    (planned.folder / "test" / "scores.json").write_text("{}")
    assert check_run_state(tested, forecast()) == "finished"


@pytest.mark.parametrize("summary", [True, False])
@pytest.mark.parametrize(
    ("config", "said"),
    [
        (changed(trainer__max_steps=9), r"trainer.max_steps is 9 there, 8 here"),
        (changed(model__method__init_args__area=0.3), r"method.area is 0.3 there, 0.5 here"),
        (changed(data__source__init_args__root="p"), r"data.root is 'p' there, 'photos' here"),
        (changed(seed_everything=4), "a run with seed 4"),
        (changed(trainer__new=None), r"another version .*they differ in trainer.new"),
    ],
)
def test_another_run_is_refused_with_what_is_another(planned, config, said, summary):
    leave(planned.folder, config, summary=summary)
    with pytest.raises(UserError, match=said) as error:
        check_run_state(planned, forecast())
    assert "give another --out, or delete it" in str(error.value)
    assert "\n" not in str(error.value)


def test_where_it_is_kept_does_not_matter(planned):
    leave(planned.folder, changed(out="elsewhere"))
    assert check_run_state(planned, forecast()) == "finished"


def test_a_recipe_that_was_edited_is_noticed_although_the_command_is_the_same(planned):
    leave(planned.folder)
    edited = changed(trainer__max_steps=99)
    with pytest.raises(UserError, match=r"trainer.max_steps is 8 there, 99 here"):
        check_run_state(planned, forecast(edited))


def test_other_labeled_images_are_noticed(planned):
    """Say, a list file whose content was changed, or masks that were drawn anew."""
    leave(planned.folder)
    with pytest.raises(UserError, match=r"other labeled images \(split hash abc, expected def\)"):
        check_run_state(planned, forecast(split_hash="def"))


def test_what_is_no_run_is_not_touched(planned):
    planned.folder.mkdir()
    (planned.folder / "thesis.txt").write_text("precious")
    with pytest.raises(UserError, match="has files that are not a run"):
        check_run_state(planned, forecast())
    assert (planned.folder / "thesis.txt").read_text() == "precious"


@pytest.mark.parametrize("text", ["{", "\x00", None])
def test_a_configuration_that_cannot_be_read(planned, text):
    leave(planned.folder)
    file = planned.folder / "config.yaml"
    file.unlink()
    if text is not None:
        file.write_text(text)
    with pytest.raises(UserError, match=r"config.yaml cannot be read"):
        check_run_state(planned, forecast())
