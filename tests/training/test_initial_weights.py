"""Runs that start from another model, and modules that are read back from a checkpoint."""

import pytest
import torch
from pytorch_lightning import Callback

import ssseg
from ssseg.cli.main import main
from ssseg.data.datasets.base import ClassInfo
from ssseg.errors import UserError
from ssseg.methods import METHODS, create_method
from ssseg.methods.base import Method
from ssseg.models import Segmenter
from ssseg.models.segmenter import IMAGENET_MEAN, IMAGENET_STD
from ssseg.testing import tiny_network
from ssseg.training.initial_weights import start_from
from ssseg.training.module import SegmentationModule
from tests.conftest import make_data, make_module, make_trainer

NORM = {"mean": IMAGENET_MEAN, "std": IMAGENET_STD}


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A checkpoint of two steps of classmix on the eight classes of streets, and its module."""
    folder = tmp_path_factory.mktemp("saved")
    module = make_module()
    trainer = make_trainer(2, folder)
    trainer.fit(module, make_data())
    trainer.save_checkpoint(folder / "model.ckpt")
    return folder / "model.ckpt", module


def classes(count=8):
    return list(make_data().source.classes[:count])


@pytest.mark.parametrize("name", ["supervised", "classmix", "guidedmix"])
def test_everything_is_taken_of_a_model_of_the_same_classes(saved, name):
    """Of the network that the model predicts with, by the student and by its copies."""
    path, theirs = saved
    module = make_module(name, seed=1)
    taken = start_from(module, path, classes(), **NORM)
    assert (taken.network, taken.fresh) == ("teacher", [])
    wanted = theirs.method.teacher.module.state_dict()
    for network in module.method.networks.values():
        found = getattr(network, "module", network).state_dict()
        assert all(torch.equal(found[key], tensor) for key, tensor in wanted.items())
    total = len(wanted)
    assert module.notes == [
        f"starts     from {path} (its teacher): {total} of {total} tensors of the network are taken"
    ]


@pytest.mark.parametrize(
    ("count", "names"),
    [(5, None), (8, "other")],
    ids=["another number of classes", "as many other classes"],
)
def test_layers_of_other_classes_start_fresh(saved, count, names):
    path, theirs = saved
    module = make_module("classmix", seed=1, network=tiny_network(count))
    others = classes(count)
    if names:
        others = [ClassInfo(f"{names} {i}", c.color) for i, c in enumerate(others)]
    before = {k: v.clone() for k, v in module.method.student.state_dict().items()}
    taken = start_from(module, path, others, **NORM)
    wanted = theirs.method.teacher.module.state_dict()
    assert len(taken.fresh) == 2
    assert all(name.startswith("decoder.") for name in taken.fresh)
    for name, tensor in module.method.student.state_dict().items():
        assert torch.equal(tensor, before[name] if name in taken.fresh else wanted[name])
        assert torch.equal(tensor, module.method.teacher.module.state_dict()[name])
    assert module.notes[0].endswith(f"2 start fresh ({', '.join(taken.fresh)})")


def test_images_that_are_normalised_otherwise_are_said(saved):
    module = make_module(seed=1)
    start_from(module, saved[0], classes(), mean=(0.5, 0.5, 0.5), std=IMAGENET_STD)
    assert "were normalised by mean [0.485, 0.456, 0.406]" in module.notes[1]


def test_another_encoder_is_refused(saved):
    network = Segmenter(8, encoder="resnet18", depth=3)
    module = SegmentationModule(create_method("supervised"), network)
    with pytest.raises(UserError, match=r"has 'resnet18'; give --network\.encoder test_resnet"):
        start_from(module, saved[0], classes(), **NORM)


def test_a_run_starts_from_it_and_says_so(saved, tmp_path, monkeypatch, capsys):
    """In Python as on the command line; the encoder learns as one that was trained before."""
    seen = []

    def look(self, trainer, module):
        seen.append({g["name"]: g["lr"] for g in trainer.optimizers[0].param_groups})
        seen.append(next(module.method.student.encoder.parameters()).detach().clone())

    from ssseg.training.callbacks.progress import ProgressBar

    usual = ProgressBar.on_train_start

    def hooked(self, trainer, module):
        look(self, trainer, module)
        usual(self, trainer, module)

    monkeypatch.setattr(ProgressBar, "on_train_start", hooked)
    run = ssseg.fit(
        "supervised",
        out=tmp_path / "run",
        init=saved[0],
        max_steps=1,
        network="unet",
        network_options={
            **{"weights": "random", "encoder": "test_resnet", "depth": 3},
            "decoder_options": {"decoder_channels": [16, 16, 8]},
        },
        trainer={"accelerator": "cpu"},
        **{"train_images": 8, "val_images": 2, "size": 32, "labeled": "all", "batch_size": 2},
    )
    wanted = next(saved[1].method.teacher.module.encoder.parameters())
    assert seen[0] == pytest.approx({"encoder": 1e-4, "rest": 1e-3})
    assert torch.equal(seen[1], wanted)
    assert "tensors of the network are taken" in capsys.readouterr().out
    found = run.summary["init"]
    assert (found["file"], found["network"], found["fresh"]) == (str(saved[0]), "teacher", 0)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--init", "nowhere.ckpt"], "there is no checkpoint nowhere.ckpt"),
        (["--init", "nowhere.safetensors"], "there is no model nowhere.safetensors"),
        (["--init", "{ckpt}", "--ckpt_path", "{ckpt}"], "options init and ckpt_path are both"),
    ],
)
def test_what_cannot_be_started_from(saved, tmp_path, capsys, options, words):
    tiny = ["--data.train_images", "8", "--data.val_images", "2", "--data.labeled", "all"]
    args = ["fit", "--method", "supervised", *tiny, "--data.size", "32"]
    args += [option.format(ckpt=saved[0]) for option in options]
    assert main([*args, "--trainer.accelerator", "cpu", "--out", str(tmp_path / "run")]) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


class TestLoadFromCheckpoint:
    """Lightning's own way to get a module back."""

    def test_it_is_the_module_that_was_saved(self, saved):
        path, ours = saved
        module = SegmentationModule.load_from_checkpoint(path)
        assert type(module.method) is type(ours.method)
        assert module.method.hparams == ours.method.hparams
        for name, tensor in ours.state_dict().items():
            assert torch.equal(tensor, module.state_dict()[name]), name

    def test_parts_may_be_given(self, saved):
        method = create_method("classmix", **saved[1].method.hparams)
        module = SegmentationModule.load_from_checkpoint(saved[0], method=method, seed=3)
        assert module.method is method
        assert module.seed == 3

    def test_parts_that_do_not_fit(self, saved):
        with pytest.raises(UserError, match="the checkpoint's method has"):
            SegmentationModule.load_from_checkpoint(saved[0], method=create_method("cutmix"))

    @pytest.mark.parametrize("name", sorted(METHODS))
    def test_every_method_is_made_again_of_its_description(self, name):
        from ssseg.serialization import from_config, to_config

        recipe = to_config(create_method(name))
        assert to_config(from_config(recipe, Method)) == recipe

    def test_a_foreign_method_is_not_imported(self, saved, tmp_path):
        content = torch.load(saved[0], weights_only=True)
        content["ssseg"]["method"] = {"class_path": "somebody.elses.Method", "init_args": {}}
        torch.save(content, tmp_path / "m.ckpt")
        with pytest.raises(UserError, match=r"import 'somebody\.elses' first if you trust it"):
            SegmentationModule.load_from_checkpoint(tmp_path / "m.ckpt")


@pytest.mark.parametrize(
    ("network", "words"),
    [
        (lambda: tiny_network(2), "the network has 2 classes, but data set 'street' has 8"),
        (
            lambda: Segmenter(8, in_channels=1, encoder="test_resnet", depth=3),
            "the network has 1 channels, but data set 'street' has 3",
        ),
    ],
)
def test_a_network_of_other_classes_or_channels_is_refused(tmp_path, network, words):
    class Never(Callback):
        def on_train_start(self, trainer, module):
            raise AssertionError("training began")

    module = SegmentationModule(create_method("supervised"), network())
    with pytest.raises(UserError, match=words):
        make_trainer(1, tmp_path, callbacks=[Never()]).fit(module, make_data())
