"""Objects as plain data and back."""

import json
from typing import NamedTuple

import pytest

from ssseg.errors import UserError
from ssseg.methods.base import Method
from ssseg.models import Segmenter
from ssseg.serialization import flatten, from_config, import_class, to_config, to_plain
from ssseg.testing import make_method, tiny_network


class Point(NamedTuple):
    x: int
    y: tuple[int, ...]


def test_plain_values_can_be_written_as_json():
    given = {"a": Point(1, (2, 3)), "b": [(4, None)], "c": "d"}
    wanted = {"a": {"x": 1, "y": [2, 3]}, "b": [[4, None]], "c": "d"}
    assert to_plain(given) == wanted
    assert json.loads(json.dumps(to_plain(given))) == wanted
    assert given["a"] == Point(1, (2, 3))


def test_names_of_nested_values_have_dots():
    nested = {"a": {"b": 1, "c": {"d": [2, {"e": 3}]}}, "f": None, "g": {}}
    assert flatten(nested) == {"a.b": 1, "a.c.d": [2, {"e": 3}], "f": None}
    assert flatten({"b": 1}, "a") == {"a.b": 1}
    assert flatten(7, "a") == {"a": 7}


def test_a_network_and_a_method_are_made_again():
    network = tiny_network()
    recipe = json.loads(json.dumps(to_config(network)))
    assert recipe["class_path"] == "ssseg.models.segmenter.Segmenter"
    twin = from_config(recipe, Segmenter)
    assert {n: t.shape for n, t in twin.state_dict().items()} == {
        n: t.shape for n, t in network.state_dict().items()
    }
    method = make_method(import_class("ssseg.methods.classmix.ClassMix", "method"), {"weight": 2.5})
    again = from_config(to_config(method), Method)
    assert type(again) is type(method)
    assert again.hparams == method.hparams


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("antigravity.Popen", "which is not part of ssseg; import 'antigravity' first"),
        ("subprocess.Popen", "'subprocess.Popen'; expected a Segmenter"),
        ("ssseg.models.Nothing", "no class at 'ssseg.models.Nothing'"),
        ("ssseg.models.DECODERS", "expected a class"),
        ("json", "which is not part of ssseg"),
    ],
)
def test_what_a_file_may_not_ask_for(path, said):
    with pytest.raises(UserError) as caught:
        from_config({"class_path": path, "init_args": {}}, Segmenter)
    assert said in str(caught.value)
