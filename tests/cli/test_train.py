"""`ssseg fit`, `validate` and `test` from what is typed to the files they leave."""

import json
import shutil

import pytest
import torch
import yaml

import ssseg
from ssseg.cli.main import main
from tests.cli.small_runs import assert_same_weights, fit


def test_guidedmix_trains_its_own_network_unless_one_is_named(here, capsys):
    for name, network, notices in (("own", [], 0), ("shared", ["--network", "auto"], 1)):
        assert fit("--method", "guidedmix", *network, "--out", name, steps=2) == 0
        out = capsys.readouterr().out
        decoder = ssseg.Run(here / name).summary["network"]["decoder"]
        assert decoder == ("unet" if network else "guidedmix")
        assert f"network    {decoder} on resnet18" in out
        assert out.count("this network has no MITrans") == notices


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


@pytest.mark.parametrize(
    "ablation",
    [
        ["--method.pair", "random"],
        ["--network.decoder_options.mitrans", "false"],
        ["--method.decouple", "hard"],
        ["--method.lambda_max", "0.3"],
        ["--method.use_teacher", "false"],
        ["--method.variant", "paper"],
        ["--method.loss", "squared_error"],
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
