"""Models from files of ours and of others; nothing in a file is ever run."""

import json
import os
import pickle

import numpy as np
import pytest
import torch

import ssseg
from ssseg.errors import UserError
from ssseg.prediction.model_file import save_weights
from tests.prediction.models import VERSION_0_1


def test_student_and_teacher(street_run, street_photo):
    saved = torch.load(street_run.checkpoint(), weights_only=True)["state_dict"]
    student, teacher = (
        ssseg.load(street_run.checkpoint(), "student"),
        ssseg.load(street_run.checkpoint()),
    )
    assert (student.name, teacher.name) == ("student", "teacher")
    for model, prefix in ((student, "method.student."), (teacher, "method.teacher.module.")):
        for name, tensor in model.network.state_dict().items():
            assert torch.equal(tensor, saved[prefix + name])
    assert not student.network.training
    assert not student.train().network.training


@pytest.mark.parametrize("field", VERSION_0_1)
def test_a_file_without_a_field_of_its_data_is_refused(street_run, tmp_path, field):
    saved = torch.load(street_run.checkpoint(), weights_only=True)
    del saved["ssseg"]["data"][field]
    torch.save(saved, tmp_path / "m.ckpt")
    with pytest.raises(UserError, match=rf"m\.ckpt says too little .*'{field}'"):
        ssseg.load(tmp_path / "m.ckpt")


def test_a_plain_weight_file_is_the_same_model(street_model, street_photo, tmp_path):
    save_weights(street_model, tmp_path / "model.safetensors")
    twin = ssseg.load(tmp_path / "model.safetensors")
    assert (twin.name, twin.classes) == (street_model.name, street_model.classes)
    np.testing.assert_array_equal(
        twin.predict(street_photo).label, street_model.predict(street_photo).label
    )
    with pytest.raises(UserError, match=r"unknown network in .* 'student'"):
        ssseg.load(tmp_path / "model.safetensors", "student")


class TestForeignFiles:
    """Somebody else's file never runs code, and is called what it is."""

    @pytest.mark.parametrize("ending", ["ckpt", "safetensors"])
    def test_random_bytes(self, tmp_path, ending):
        path = tmp_path / f"model.{ending}"
        path.write_bytes(os.urandom(5000))
        with pytest.raises(UserError, match=rf"model\.{ending} is not a"):
            ssseg.load(path)

    @pytest.mark.parametrize("ending", ["ckpt", "safetensors"])
    @pytest.mark.parametrize("pack", ["pickle", "torch"])
    def test_a_pickle_that_would_run_code(self, tmp_path, ending, pack):
        path, trace = tmp_path / f"model.{ending}", tmp_path / "it ran"

        class Bomb:
            def __reduce__(self):
                return os.system, (f"touch '{trace}'",)

        if pack == "pickle":
            path.write_bytes(pickle.dumps({"ssseg": Bomb(), "state_dict": {}}))
        else:
            torch.save({"ssseg": Bomb(), "state_dict": {}}, path)
        with pytest.raises(UserError, match="is not a"):
            ssseg.load(path)
        assert not trace.exists()

    @pytest.mark.parametrize(
        ("path", "words"),
        [
            ("subprocess.Popen", "expected a Segmenter"),
            ("ssseg.runs.run.Run", "expected a Segmenter"),
            ("somebody.elses.Network", "which is not part of ssseg; import 'somebody.elses' first"),
        ],
    )
    def test_a_recipe_that_would_run_code(self, street_run, street_model, tmp_path, path, words):
        """Plain data too can name a program: nothing but networks is ever made of it."""
        from safetensors.torch import save_file

        trace = tmp_path / "it ran"
        recipe = {"class_path": path, "init_args": {"args": ["touch", str(trace)]}}
        saved = torch.load(street_run.checkpoint(), weights_only=True)
        saved["ssseg"].update(network=recipe, method=recipe)
        torch.save(saved, tmp_path / "m.ckpt")
        about = json.dumps({**street_model.about, "network": recipe, "saved": "teacher"})
        save_file({"weight": torch.ones(2)}, tmp_path / "m.safetensors", {"ssseg": about})
        for name in ("m.ckpt", "m.safetensors"):
            with pytest.raises(UserError, match=words):
                ssseg.load(tmp_path / name)
        assert not trace.exists()

    @pytest.mark.parametrize("about", [{}, {"networks": {"a": "b"}}, 3, {"networks": {"a": 1}}])
    def test_a_checkpoint_that_says_too_little(self, tmp_path, about):
        torch.save({"ssseg": about, "state_dict": {}}, tmp_path / "m.ckpt")
        with pytest.raises(UserError, match=r"m\.ckpt says too little"):
            ssseg.load(tmp_path / "m.ckpt")

    def test_a_method_in_a_file_is_never_made(self, street_run, tmp_path):
        saved = torch.load(street_run.checkpoint(), weights_only=True)
        trace = tmp_path / "it ran"
        saved["ssseg"]["method"] = {
            "class_path": "subprocess.Popen",
            "init_args": {"args": ["touch", str(trace)]},
        }
        torch.save(saved, tmp_path / "m.ckpt")
        assert ssseg.load(tmp_path / "m.ckpt").name == "teacher"
        assert not trace.exists()

    def test_a_checkpoint_of_another_library(self, tmp_path):
        torch.save({"state_dict": {"weight": torch.ones(2)}, "epoch": 3}, tmp_path / "other.ckpt")
        with pytest.raises(UserError, match="is not a checkpoint of ssseg"):
            ssseg.load(tmp_path / "other.ckpt")

    def test_weights_of_another_library(self, tmp_path):
        from safetensors.torch import save_file

        save_file({"weight": torch.ones(2)}, tmp_path / "other.safetensors")
        with pytest.raises(UserError, match="holds weights, but not of a model of ssseg"):
            ssseg.load(tmp_path / "other.safetensors")

    def test_weights_that_do_not_fit_their_description(self, street_model, tmp_path):
        from safetensors.torch import save_file

        about = json.dumps({**street_model.about, "saved": "teacher"})
        save_file({"weight": torch.ones(2)}, tmp_path / "m.safetensors", {"ssseg": about})
        with pytest.raises(UserError, match="does not hold what it says"):
            ssseg.load(tmp_path / "m.safetensors")

    def test_a_missing_file(self, tmp_path):
        for name in ("a.ckpt", "a.safetensors"):
            with pytest.raises(UserError, match="there is no"):
                ssseg.load(tmp_path / name)
