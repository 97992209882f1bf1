import re

import torch

import ssseg
from ssseg.cli.main import main
from tests.data.trees import draw_tree


def test_memory_knows_what_a_method_needs(tmp_path):
    root = draw_tree(tmp_path / "photos", size=(64, 64))
    one = ssseg.doctor(root=root, method="supervised")["estimate"]["memory"]
    two = ssseg.doctor(root=root, method="classmix")["estimate"]["memory"]
    assert (one["images"], two["images"]) == (4, 8)
    assert two["activations"] == 2 * one["activations"]
    assert two["weights"] - one["weights"] == 4 * one["parameters"]
    assert (one["teacher"], two["teacher"]) == (False, True)
    own = ssseg.doctor(root=root, method="guidedmix")["estimate"]["memory"]
    assert own["network"].startswith("guidedmix on")
    small = ssseg.doctor(root=root, network="small")["estimate"]["memory"]
    assert small["parameters"] < 1e6 < one["parameters"]


def test_memory_that_cannot_be_counted_is_unknown(tmp_path, monkeypatch, capsys):
    def fail(*args, **options):
        raise NotImplementedError("no values on the meta device")

    monkeypatch.setattr("ssseg.training.memory.memory_of_step", fail)
    root = draw_tree(tmp_path / "photos")
    assert main(["doctor", str(root)]) == 0
    assert re.search(r"memory +unknown", capsys.readouterr().out)


def test_counting_memory_leaves_randomness_alone(tmp_path):
    root = draw_tree(tmp_path / "photos")
    before = torch.get_rng_state()
    ssseg.doctor(root=root)
    assert torch.equal(torch.get_rng_state(), before)
