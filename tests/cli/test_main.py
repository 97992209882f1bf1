import json
import os
import re
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from pytorch_lightning.callbacks import EarlyStopping

import ssseg
from ssseg.cli import main as cli
from ssseg.cli.aliases import expand_aliases
from ssseg.cli.main import main
from ssseg.data.datasets import DATASETS, Street
from ssseg.errors import UserError
from ssseg.methods import METHODS, create_method, method_class
from ssseg.models import Segmenter
from ssseg.runs.command import pairs
from ssseg.testing import tiny_network
from ssseg.training.callbacks.progress import announcement
from ssseg.training.module import SegmentationModule
from tests.conftest import make_data, make_module

SMALL = [
    *("--data.train_images", "24", "--data.val_images", "4", "--data.size", "32"),
    *("--data.labeled", "8", "--data.batch_size", "4", "--trainer.accelerator", "cpu"),
]


def fit(*args, steps=3):
    return main(["fit", *args, *SMALL, "--trainer.max_steps", str(steps)])


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def fresh(code):
    """What a new interpreter prints."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout


@pytest.mark.parametrize(
    "args",
    [
        *(["--help"], [], ["--version"], ["methods"], ["datasets"], ["benchmark", "--help"]),
        pytest.param(["benchmark", "--methods", "guidedmix", "--dry-run"], marks=pytest.mark.slow),
    ],
)
def test_fast_verbs_answer_without_torch(args):
    code = (
        f"import sys; from ssseg.cli.main import main\n"
        f"try: main({args!r})\n"
        f"except SystemExit: pass\n"
        f"print('torch' in sys.modules, 'numpy' in sys.modules)"
    )
    assert fresh(code).splitlines()[-1] == "False False"


def test_names_of_networks_are_known_without_torch():
    code = "import sys; from ssseg.models import DECODERS, NETWORKS; print('dpt' in NETWORKS)"
    assert fresh(f"{code}; print('torch' in sys.modules)") == "True\nFalse\n"


def test_importing_the_package_is_cheap():
    assert fresh("import sys, ssseg; print('torch' in sys.modules)") == "False\n"


def test_public_names_exist():
    for name in ssseg.__all__:
        assert getattr(ssseg, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = ssseg.nothing


def test_methods_and_data_sets_are_listed(capsys):
    assert main(["methods"]) == 0
    assert main(["datasets"]) == 0
    out = capsys.readouterr().out
    for name in [*METHODS, *DATASETS]:
        assert f"\n{name} " in f"\n{out}"


def test_columns_of_lists_are_apart(capsys, monkeypatch):
    long = ("a_method_with_a_long_name", METHODS["mixup"]._replace(summary="s" * 80))
    monkeypatch.setitem(METHODS, *long)
    assert main(["methods"]) == 0
    lines = capsys.readouterr().out.splitlines()
    for line, (name, entry) in zip(lines, METHODS.items(), strict=True):
        assert re.split(" {2,}", line) == [name, entry.summary, entry.source]
    starts = [line.index(e.source, 40) for line, e in zip(lines, METHODS.values(), strict=True)]
    assert len(set(starts)) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="pipes break otherwise there")
@pytest.mark.parametrize("buffered", ["", "1"])
@pytest.mark.parametrize("args", [["methods"], ["benchmark", "--help"], ["fti"]])
def test_a_reader_that_leaves_ends_a_command_quietly(args, buffered):
    """As of `ssseg methods | head -1`: nothing is read, nothing is complained of."""
    reader, writer = os.pipe()
    os.close(reader)
    errors = args == ["fti"]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    streams["stderr" if errors else "stdout"] = writer
    done = subprocess.run(
        [sys.executable, "-m", "ssseg", *args],
        env={**os.environ, "PYTHONUNBUFFERED": buffered},
        text=True,
        check=False,
        **streams,
    )
    os.close(writer)
    # argparse passes over it where its help is not buffered
    assert done.returncode == 141 or (buffered and "--help" in args)
    assert not (done.stdout if errors else done.stderr)


def test_a_pipe_that_broke_elsewhere_is_no_reader_that_left(monkeypatch):
    def broken(args):
        raise BrokenPipeError("of a worker")

    monkeypatch.setattr(cli, "_verb", broken)
    with open(os.devnull, "w") as out, open(os.devnull, "w") as err:  # noqa: PTH123
        monkeypatch.setattr(sys, "stdout", out)
        monkeypatch.setattr(sys, "stderr", err)
        with pytest.raises(BrokenPipeError, match="of a worker"):
            main(["methods"])


def test_a_method_explains_itself(capsys):
    assert main(["methods", "classmix"]) == 0
    out = capsys.readouterr().out
    assert "--method.threshold" in out
    assert "0.968" in out
    assert "warmup_steps:" in out


def test_the_table_and_the_folder_agree():
    from pathlib import Path

    import ssseg.methods

    folder = Path(ssseg.methods.__file__).parent
    files = {
        p.stem for p in [*folder.glob("*.py"), *(q.parent for q in folder.glob("*/__init__.py"))]
    }
    assert files - {"__init__", "base"} == set(METHODS)
    for name, entry in METHODS.items():
        assert entry.class_name.lower() == name.replace("_", "")
        assert method_class(name).__name__ == entry.class_name


def test_methods_are_short():
    """A new method is one file of at most about 60 lines.

    The template is an exception, and so is GuidedMix-Net with its three variants.
    """
    from inspect import getsource, getsourcelines

    for name in set(METHODS) - {"mean_teacher", "guidedmix"}:
        code = [line for line in getsourcelines(method_class(name))[0] if line.strip()]
        doc = method_class(name).__doc__.splitlines()
        assert len(code) - len(doc) < 60, name
        assert "torch.rand(" not in getsource(method_class(name)) or "generator=" in getsource(
            method_class(name)
        )


def test_short_names_are_spelled_out():
    out = expand_aliases(
        ["--method.threshold=0.5", "--method", "classmix", "--data.labeled", "1/8"]
    )
    at = out.index("--model.method")
    assert out[at + 1] == "ssseg.methods.classmix.ClassMix"
    assert out.index("--model.method.threshold") > at
    assert out[-2:] == ["--data.labeled", "1/8"]
    folder = expand_aliases(["--method", "cutmix", "--data", "folder", "--data.root", "x"])
    assert folder[folder.index("--data.source") + 1] == "ssseg.data.datasets.folder.Folder"
    assert folder[folder.index("--data.source.root") + 1] == "x"


def network_of(args):
    """The network's options after all overriding, by name."""
    spelled = expand_aliases(args)
    options = [
        (flag.removeprefix("--model.network."), value)
        for flag, value in pairwise(spelled)
        if flag.startswith("--model.network.")
    ]
    return dict(options)


def test_a_method_may_bring_a_decoder_of_its_own():
    own = network_of(["--method", "guidedmix"])
    common = network_of(["--method", "supervised"])
    assert own.pop("decoder") == "guidedmix"
    assert common.pop("decoder") == "unet"
    assert own == common
    assert own["encoder"] == "resnet18"
    assert own["depth"] == "4"
    named = {"decoder": "unet"}
    assert network_of(["--method", "guidedmix", "--network", "unet"]) == named
    assert network_of(["--network=unet", "--method=guidedmix"]) == named
    part = network_of(["--method", "guidedmix", "--network.encoder", "resnet34"])
    assert (part["decoder"], part["encoder"]) == ("guidedmix", "resnet34")
    part = network_of(["--network.decoder", "fpn", "--method", "guidedmix"])
    assert (part["decoder"], part["depth"]) == ("fpn", "4")
    folder = ["--method", "guidedmix", "--data", "folder", "--data.root", "x"]
    assert network_of(folder) == {"decoder": "guidedmix"}


def test_the_network_auto_is_that_of_the_data_set_whatever_the_method():
    auto = ["--network", "auto"]
    for data in ([], ["--data", "objects"], ["--data", "folder", "--data.root", "x"]):
        usual = network_of(["--method", "supervised", *data])
        for method in ("supervised", "classmix", "guidedmix"):
            assert network_of(["--method", method, *data, *auto]) == usual
            assert network_of([*auto, *data, "--method", method]) == usual
    part = network_of(["--method", "guidedmix", *auto, "--network.decoder", "fpn"])
    assert (part["decoder"], part["depth"]) == ("fpn", "4")


def test_a_configuration_keeps_its_network(here):
    (here / "x.yaml").write_text("{}")
    for more in ([], ["--method", "guidedmix"], ["--method", "guidedmix", "--data", "street"]):
        assert network_of(["--config", "x.yaml", *more]) == {}
    street = ["--config", "x.yaml", "--data", "street", "--network", "auto"]
    assert network_of(street) == network_of(["--method", "supervised"])


def test_the_network_auto_needs_a_data_set(here):
    (here / "x.yaml").write_text("{}")
    with pytest.raises(UserError, match="--data"):
        expand_aliases(["--config", "x.yaml", "--network", "auto"])


def test_the_announcement_says_what_the_method_remarks(monkeypatch):
    data = make_data()
    data.prepare("fit", 1)
    trainer = SimpleNamespace(
        datamodule=data, world_size=1, max_steps=10, accumulate_grad_batches=1,
        limit_val_batches=1.0, val_check_interval=5,
    )  # fmt: skip
    own = Segmenter(8, decoder="guidedmix", encoder="test_resnet", depth=3)
    modules = {
        "guidedmix": SegmentationModule(create_method("guidedmix", teacher=True), tiny_network(8)),
        "supervised": make_module("supervised"),
        "with MITrans": SegmentationModule(create_method("guidedmix"), own),
    }
    said = {
        name: [line for line in announcement(trainer, module) if "MITrans" in line]
        for name, module in modules.items()
    }
    assert len(said["guidedmix"]) == 1
    assert said.pop("guidedmix") == modules["guidedmix"].method.notices()
    assert said == {"supervised": [], "with MITrans": []}
    monkeypatch.setattr(type(modules["supervised"].method), "notices", lambda self: ["one", "two"])
    lines = announcement(trainer, modules["supervised"])
    assert lines[-2:] == ["one", "two"]
    assert lines[0].startswith("network ")


def test_guidedmix_trains_its_own_network_unless_one_is_named(here, capsys):
    for name, network, notices in (("own", [], 0), ("shared", ["--network", "auto"], 1)):
        assert fit("--method", "guidedmix", *network, "--out", name, steps=2) == 0
        out = capsys.readouterr().out
        decoder = ssseg.Run(here / name).summary["network"]["decoder"]
        assert decoder == ("unet" if network else "guidedmix")
        assert f"network    {decoder} on resnet18" in out
        assert out.count("this network has no MITrans") == notices


def test_flags_are_paired_with_their_values():
    assert list(pairs(["--a", "1", "--b=2=3", "--c", "x", "y"])) == [
        ("--a", ["1"]),
        ("--b", ["2=3"]),
        ("--c", ["x", "y"]),
    ]


def test_a_run_leaves_what_it_promises(here, capsys):
    args = ["--method", "classmix", "--method.warmup_steps", "1", "--out", "run"]
    args += ["--trainer.gradient_clip_val", "5", "--data.jitter", "0.1"]
    assert fit(*args, steps=12) == 0
    out = capsys.readouterr().out
    assert "each seen 6.0 times in 12 steps" in out
    assert "mIoU student" in out
    run = ssseg.Run(here / "run")
    summary = run.summary
    assert summary["method"]["name"] == "classmix"
    assert summary["steps"] == 12
    assert summary["data"]["split"] == "8 seed 0"
    assert len(summary["data"]["split_hash"]) == 12
    assert summary["exposures"] == {"labeled": 6.0, "unlabeled": 12 * 4 / 16}
    assert set(summary["last"]) == set(summary["best"]) == {"student", "teacher"}
    assert summary["last"]["teacher"]["iou"].keys() <= {c.name for c in _street().classes}
    assert summary["best"]["teacher"]["miou"] == max(row["teacher"] for row in run.history)
    assert run.history[-1]["step"] == 12
    assert summary["training"] == {
        "precision": "32-true",
        "accumulate_grad_batches": 1,
        "gradient_clip_val": 5,
        "gradient_clip_algorithm": "norm",
        "devices": 1,
        "shared_batchnorm": False,
        "limit_train_batches": 1.0,
        "limit_val_batches": 1.0,
        "callbacks": [],
    }
    assert summary["data"]["augmentation"]["jitter"] == 0.1
    assert summary["network"]["weights"] is None
    assert summary["compute"]["compile"] is False
    assert summary["seconds"] > 0
    assert summary["peak_memory_mb"] > 50
    assert summary["versions"]["torch"] == torch.__version__.split("+")[0]
    assert summary["command"].startswith("ssseg fit --method classmix")
    assert run.checkpoint("last").is_file()
    assert run.checkpoint("best").is_file()
    assert {"loss/sup", "loss/unsup", "train/trusted"} <= set().union(*run.metrics)
    picture = np.asarray(Image.open(run.samples[-1]).convert("RGB"))
    assert picture.shape[0] > 300
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 100
    tiles = {p.name for p in (here / "run" / "samples" / "tiles").iterdir()}
    assert {"input_0.png", "truth_0.png", "student_0.png", "teacher_3.png"} <= tiles


def _street():
    from ssseg.data.datasets import Street

    return Street()


def assert_same_weights(first, second):
    states = [
        torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
        for folder in (first, second)
    ]
    assert states[0].keys() == states[1].keys()
    for name, tensor in states[0].items():
        assert torch.equal(tensor, states[1][name]), name


def test_the_saved_configuration_repeats_the_run(here):
    assert fit("--method", "cutmix", "--method.threshold", "0", "--out", "first") == 0
    config = yaml.safe_load((here / "first" / "config.yaml").read_text())
    assert config["model"]["method"]["init_args"]["threshold"] == 0
    assert main(["fit", "--config", "first/config.yaml", "--out", "second"]) == 0
    assert_same_weights(here / "first", here / "second")


def test_an_interrupted_run_goes_on_from_its_last_validation(here, monkeypatch):
    """What lies in the folder when a run is cut off is enough to end with the same weights."""
    from ssseg.training.callbacks.run_folder import RunFolder

    draw = RunFolder._draw

    def draw_and_keep(self, trainer, module, path):
        if trainer.global_step == 6:  # the file is still that of the validation before
            shutil.copy(here / "whole" / "checkpoints" / "last.ckpt", here / "three.ckpt")
        draw(self, trainer, module, path)

    monkeypatch.setattr(RunFolder, "_draw", draw_and_keep)
    args = ["--method", "classmix", "--method.threshold", "0", "--trainer.val_check_interval", "3"]
    assert fit(*args, "--out", "whole", steps=6) == 0
    monkeypatch.undo()
    monkeypatch.chdir(here)
    again = ["fit", "--config", "whole/config.yaml", "--ckpt_path", "three.ckpt", "--out", "rest"]
    assert torch.load(here / "three.ckpt", weights_only=True)["global_step"] == 3
    assert main(again) == 0
    assert_same_weights(here / "whole", here / "rest")
    summaries = [ssseg.Run(here / name).summary for name in ("whole", "rest")]
    assert summaries[0]["history"] == summaries[1]["history"]
    assert summaries[0]["best"] == summaries[1]["best"]


def test_options_override_a_configuration(here):
    assert fit("--method", "classmix", "--out", "first") == 0
    args = ["fit", "--config", "first/config.yaml", "--out", "second"]
    assert main([*args, "--method", "mixup", "--trainer.max_steps", "2"]) == 0
    summary = ssseg.Run(here / "second").summary
    assert summary["method"]["name"] == "mixup"
    assert summary["method"]["threshold"] == 0.97, "an option of the other method stayed"
    assert summary["steps"] == 2


def test_validate_and_test_score_a_checkpoint(here, capsys):
    assert fit("--method", "mean_teacher", "--out", "run", "--data.test_images", "3") == 0
    last = ssseg.Run(here / "run").summary["last"]
    capsys.readouterr()
    assert main(["validate", "--ckpt_path", "run/checkpoints/last.ckpt"]) == 0
    out = capsys.readouterr().out
    assert f"student: mIoU {100 * last['student']['miou']:.2f}" in out
    assert f"teacher: mIoU {100 * last['teacher']['miou']:.2f}" in out
    assert main(["test", "--ckpt_path", "run/checkpoints/best.ckpt"]) == 0
    assert "teacher: mIoU" in capsys.readouterr().out


def test_python_and_command_line_are_one_path(here):
    options = {"train_images": 24, "val_images": 4, "size": 32, "labeled": 8, "batch_size": 4}
    patient = {"monitor": "val/miou", "mode": "max", "patience": 99}
    trainer = {
        "accelerator": "cpu",
        "callbacks": [{"class_path": EarlyStopping, "init_args": patient}],
    }
    run = ssseg.fit(
        method_class("classmix"),
        Street,
        out=Path("py"),
        logger=True,
        max_steps=3,
        trainer=trainer,
        **options,
    )
    assert run.summary["training"]["callbacks"] == ["EarlyStopping"]
    assert fit("--method", "classmix", "--out", "cli") == 0
    assert_same_weights(run.folder, here / "cli")
    scores = ssseg.validate(run.checkpoint())
    assert scores["val/miou_teacher"] == pytest.approx(run.summary["last"]["teacher"]["miou"])
    assert "classmix on street: mIoU student" in str(run)


def test_run_folders_are_never_overwritten(here):
    assert fit("--method", "supervised") == 0
    assert fit("--method", "supervised") == 0
    assert {p.name for p in (here / "runs").iterdir()} == {
        "street-supervised-seed0",
        "street-supervised-seed0-2",
    }


def test_a_method_of_your_own_by_dotted_path(here, monkeypatch):
    (here / "mine.py").write_text(
        "from dataclasses import dataclass\n"
        "from ssseg.methods.supervised import Supervised\n\n\n"
        "@dataclass(eq=False, repr=False)\n"
        "class Mine(Supervised):\n"
        "    factor: float = 2.0\n\n"
        "    def losses(self, batch, step):\n"
        "        out = super().losses(batch, step)\n"
        "        return out._replace(losses={'sup': self.factor * out.losses['sup']})\n"
    )
    monkeypatch.syspath_prepend(str(here))
    assert fit("--method", "mine.Mine", "--method.factor", "3", "--out", "run") == 0
    assert ssseg.Run(here / "run").summary["method"] == {"name": "Mine", "factor": 3.0}


def test_tensorboard_by_one_option(here):
    assert fit("--method", "supervised", "--out", "run", "--logger", "tensorboard") == 0
    assert list((here / "run").rglob("events.out.tfevents.*"))
    assert (here / "run" / "metrics.csv").is_file()


def test_wandb_by_one_option_works_offline(here, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    assert fit("--method", "supervised", "--out", "run", "--logger", "wandb") == 0
    assert list((here / "run").rglob("run-*.wandb"))
    import wandb

    wandb.finish()


def test_without_validation_images_there_is_a_model_but_no_score(here, capsys, recwarn):
    args = ["--method", "supervised", "--out", "run", "--data.val_images", "0"]
    assert main(["fit", *SMALL, *args, "--trainer.max_steps", "2"]) == 0
    assert "no validation images" in capsys.readouterr().out
    assert not [str(w.message) for w in recwarn if "Total length" in str(w.message)]
    run = ssseg.Run(here / "run")
    assert run.summary["last"] == {}
    assert run.checkpoint().is_file()
    assert not run.checkpoint("best").exists()


BAD = [
    ([], "option --method is missing"),
    (["--method"], "--method needs one value"),
    (["--method", "classmix", "-c", "no.yaml"], "there is no file no.yaml"),
    (["--method", "clasmix"], "did you mean 'classmix'"),
    (["--method", "cutmix", "--method", "cowmix"], "given twice: cutmix and cowmix"),
    (["--method", "nowhere.Thing"], "no method at 'nowhere.Thing'"),
    (["--method", "ssseg.Segmenter"], "'ssseg.Segmenter' is not a method"),
    (["--method", "classmix", "--method.treshold", "1"], "did you mean 'threshold'"),
    (["--method", "classmix", "--method.threshold", "high"], "is 'high'; expected a number"),
    (["--method", "classmix", "--method.rounding", "up"], "'floor', 'ceil', 'random'"),
    (["--method", "mixup", "--method.loss", "cross_entropy"], "loss of mixup"),
    (["--method", "classmix", "--data", "foldr"], "did you mean 'folder'"),
    (["--method", "classmix", "--data", "folder"], "needs option --data.root"),
    (["--method", "classmix", "--data", "folder", "--data.root", "no"], "no such folder"),
    (["--method", "classmix", "--data.lable", "8"], "unknown option of data set street"),
    (["--method", "classmix", "--data.labeled", "9/8"], "576 of 512 training images"),
    (["--method", "classmix", "--data.labeled", "all"], "needs unlabeled images"),
    (["--method", "classmix", "--data.batch_size", "64"], "only 16 labeled images"),
    (["--method", "classmix", "--data.crop_size", "[64]"], "option data.crop_size"),
    (["--method", "classmix", "--network", "unett"], "did you mean 'unet'"),
    (["--method", "classmix", "--network", "atuo"], "did you mean 'auto'"),
    (["--method", "classmix", "--network", "auto", "--network", "fpn"], "twice: auto and fpn"),
    (["--method", "classmix", "--network.encoder", "resnet81"], "did you mean 'resnet18'"),
    (["--method", "classmix", "--network.encoder", "mobilenet_v2"], "'mobilenetv2_100'"),
    (["--method", "classmix", "--network.weights", "no.pth"], "no weight file no.pth"),
    (["--method", "classmix", "--optim.lrr", "1"], "did you mean 'lr'"),
    (["--method", "classmix", "--optim.name", "adam"], "'adamw', 'sgd'"),
    (["--method", "classmix", "--logger", "mlflow"], "unknown logger 'mlflow'"),
    (["--method", "classmix", "--trainer.max_step", "5"], "did you mean 'max_steps'"),
    (["--method", "classmix", "--trainer.max_steps", "five"], "expected a whole number"),
    (["--method", "classmix", "--trainer.max_steps", "0"], "trainer.max_steps is 0"),
    (["--method", "classmix", "--config", "no.yaml"], "there is no file no.yaml"),
    (["--method", "classmix", "--foo", "1"], "unknown option 'foo'"),
]


@pytest.mark.parametrize(("args", "complaint"), BAD, ids=lambda value: str(value)[:50])
def test_bad_input_is_one_sentence_and_leaves_nothing(here, capfd, args, complaint):
    assert main(["fit", *args]) == 2
    err = [line for line in capfd.readouterr().err.splitlines() if "ssseg: error" in line]
    assert len(err) == 1
    assert complaint in err[0]
    assert "Traceback" not in err[0]
    assert not list(here.iterdir())


def test_other_verbs_complain_alike(here, capfd):
    for args, complaint in (
        (["fti"], "did you mean 'fit'"),
        (["test"], "--ckpt_path is missing"),
        (["validate", "--ckpt_path", "no.ckpt"], "there is no checkpoint no.ckpt"),
        (["methods", "clasmix"], "did you mean 'classmix'"),
    ):
        assert main(args) == 2
        assert complaint in capfd.readouterr().err


def test_a_used_folder_is_not_written_to(here, capfd):
    (here / "run").mkdir()
    (here / "run" / "thesis.txt").write_text("precious")
    assert fit("--method", "supervised", "--out", "run") == 2
    assert "the folder run is not empty" in capfd.readouterr().err
    assert [p.name for p in (here / "run").iterdir()] == ["thesis.txt"]


def test_a_checkpoint_of_another_network_is_one_sentence(here, capfd):
    assert fit("--method", "supervised", "--out", "run") == 0
    args = ["--ckpt_path", "run/checkpoints/last.ckpt", "--out", "other"]
    assert fit("--method", "supervised", "--network", "fpn", *args, steps=5) == 2
    err = capfd.readouterr().err
    assert "the checkpoint's network has decoder = 'unet', but this run's has 'fpn'" in err
    assert not (here / "other").exists()


def test_a_file_that_is_no_checkpoint_is_one_sentence(here, capfd):
    (here / "notes.ckpt").write_bytes(b"nothing of the kind")
    assert fit("--method", "supervised", "--ckpt_path", "notes.ckpt", "--out", "run") == 2
    assert "notes.ckpt is not a checkpoint" in capfd.readouterr().err


def test_an_image_that_breaks_in_a_worker_is_one_sentence(here, capfd):
    """The header is fine, the pixels are not: only decoding can tell."""
    root = here / "photos"
    rng = np.random.default_rng(0)
    for split in ("train", "val"):
        (root / split / "images").mkdir(parents=True)
        (root / split / "masks").mkdir()
        for i in range(4):
            pixels = rng.integers(0, 255, (40, 40, 3), np.uint8)
            Image.fromarray(pixels).save(root / split / "images" / f"{i}.png")
            Image.fromarray(pixels[..., 0] % 2).save(root / split / "masks" / f"{i}.png")
    (root / "classes.json").write_text(json.dumps(["a", "b"]))
    for i in range(4):
        file = root / "train" / "images" / f"{i}.png"
        file.write_bytes(file.read_bytes()[:200])
    args = ["--method", "supervised", "--data", "folder", "--data.root", str(root)]
    small = ["--data.batch_size", "2", "--data.crop_size", "[32, 32]", "--network", "small"]
    more = ["--trainer.accelerator", "cpu", "--data.num_workers", "1", "--out", "run"]
    assert main(["fit", *args, *small, *more]) == 2
    err = [line for line in capfd.readouterr().err.splitlines() if "ssseg: error" in line]
    assert len(err) == 1
    assert "cannot be read" in err[0]
    assert str(root / "train" / "images") in err[0]
    assert not (here / "run").exists()


@pytest.mark.parametrize(
    "ablation",
    [
        ["--method.pair", "random"],
        ["--network.decoder_options.mitrans", "false"],
        ["--method.decouple", "hard"],
        ["--method.lambda_max", "0.3"],
        ["--method.teacher", "true"],
        ["--method.variant", "released"],
    ],
    ids=lambda words: words[0].rsplit(".", 1)[-1],
)
def test_every_ablation_of_guidedmix_is_one_option(here, ablation, capsys):
    assert fit("--method", "guidedmix", *ablation, "--out", "run", steps=2) == 0

    summary = json.loads((here / "run" / "summary.json").read_text())
    assert summary["network"]["decoder"] == "guidedmix"
    option, value = ablation[0].rsplit(".", 1)[-1], ablation[1]
    place = (
        summary["method"] if "--method" in ablation[0] else summary["network"]["decoder_options"]
    )
    assert json.dumps(place[option]).strip('"') == value
    assert ("no MITrans" in capsys.readouterr().out) == (option == "mitrans")
    assert (here / "run" / "samples" / "step_000002.png").is_file()
