import json
import shutil

import numpy as np
import pytest
from PIL import Image

import ssseg
from ssseg.benchmarking import benchmark
from ssseg.benchmarking.preflight import Forecast
from ssseg.cli.main import main
from ssseg.cli.versus import ask, place, plan_two
from ssseg.methods import method_class
from ssseg.reports.comparison.contents import scores
from ssseg.runs.run import Run
from tests.cli.small_runs import SMALL, assert_same_weights

FIT = ["fit", "--method", "classmix", "--versus", "supervised", *SMALL, "--network", "small"]
FIT += ["--method.threshold", "0"]


def trained(*args):
    return main([*FIT, "--trainer.max_steps", "3", *args])


@pytest.mark.slow
@pytest.mark.usefixtures("preflight_here")
def test_two_real_runs_end_in_a_verdict(here, capsys, monkeypatch):
    # the threads of one run would fight those of the other tests
    monkeypatch.setattr(benchmark, "allowed_cpus", lambda: 1)
    assert trained() == 0
    printed = capsys.readouterr().out.splitlines()
    run, other = (Run(here / "runs" / f"street-{m}-seed0") for m in ("classmix", "supervised"))
    verdict = run.verdict
    assert printed[-1] == f"verdict  {verdict}"
    assert printed[-2] == f"compare  ssseg report {verdict.folder} {verdict.versus_folder}"
    assert other.verdict is None
    # the scores are those of the last steps, on all images
    assert verdict.miou == pytest.approx(100 * run.summary["last"]["teacher"]["miou"])
    assert verdict.versus_miou == pytest.approx(100 * other.summary["last"]["student"]["miou"])
    assert verdict.difference == pytest.approx(verdict.miou - verdict.versus_miou)
    assert (verdict.network, verdict.versus_network) == ("teacher", "student")
    assert (verdict.images, verdict.seed) == (4, 0)
    assert verdict.helped is None
    assert verdict.advice
    # the same budget
    for name in ("network", "labeled"):
        prints = {one.summary["fingerprints"][name] for one in (run, other)}
        assert len(prints) == 1
    assert run.summary["steps"] == other.summary["steps"] == 3
    assert run.summary["method"]["threshold"] == 0
    # one table, with the verdict below
    made = ssseg.report([run, other])
    assert len(made.tables) == 1
    assert len(made.tables[0].rows) == 2
    assert str(verdict) in scores(made.tables[0], made.tables).notes


@pytest.mark.usefixtures("in_this_process")
def test_what_was_trained_before_is_used_and_what_was_stopped_goes_on(here, capsys):
    shared = [*SMALL, "--network", "small", "--trainer.max_steps", "3"]
    assert main(["fit", "--method", "supervised", *shared, "--out", "runs/mine"]) == 0
    before = (here / "runs" / "mine" / "summary.json").stat().st_mtime_ns
    capsys.readouterr()
    assert trained() == 0
    assert "supervised seed 0: already finished" in capsys.readouterr().out
    run = Run(here / "runs" / "street-classmix-seed0")
    assert run.verdict.versus_folder == "runs/mine"
    assert (here / "runs" / "mine" / "summary.json").stat().st_mtime_ns == before
    assert not (here / "runs" / "street-supervised-seed0").exists()
    first = run.verdict

    # stopped after its last checkpoint
    shutil.copytree(run.folder, here / "whole")
    for name in ("summary.json", "verdict.json"):
        (run.folder / name).unlink()
    assert trained() == 0
    assert "classmix seed 0: resumed" in capsys.readouterr().out
    assert_same_weights(run.folder, here / "whole")
    assert run.verdict == first
    assert {path.name for path in (here / "runs").iterdir() if path.is_dir()} == {
        "mine",
        run.folder.name,
    }

    # a folder that holds another run is not written over
    assert main([*FIT, "--trainer.max_steps", "2", "--out", str(run.folder)]) == 2
    said = capsys.readouterr().err
    assert "has a run with other options (trainer.max_steps is 3 there, 2 here)" in said
    assert run.verdict == first


@pytest.mark.usefixtures("in_this_process")
def test_a_folder_of_photographs_in_python(here):
    rng = np.random.default_rng(0)
    for folder in ("photos", "masks"):
        (here / folder).mkdir()
    for number in range(24):
        pixels = rng.integers(0, 255, (32, 32, 3), dtype=np.uint8)
        pixels[:16] //= 4
        Image.fromarray(pixels).save(here / "photos" / f"{number}.png")
        if number < 14:
            mask = np.zeros((32, 32), np.uint8)
            mask[16:] = 1
            Image.fromarray(mask).save(here / "masks" / f"{number}_mask.png")
    run = ssseg.fit(
        method_class("classmix"),
        images="photos",
        masks="masks",
        val=6,
        num_workers=0,
        crop_size=32,
        batch_size=4,
        network="small",
        max_steps=2,
        trainer={"accelerator": "cpu"},
        versus="supervised",
    )
    assert run.folder.name == "photos-classmix-seed0"
    assert run.verdict.images == 6
    assert "no difference can be told from 0" in str(run.verdict)
    splits = [
        json.loads((here / folder / "split.json").read_text())["val"]
        for folder in (run.verdict.folder, run.verdict.versus_folder)
    ]
    assert splits[0] == splits[1]


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (
            ["--method", "supervised", "--versus", "supervised"],
            "option versus is supervised, which is the method of the run itself; name another",
        ),
        (["--method", "classmix", "--versus", "ssseg.methods.ClassMix"], "of the run itself"),
        (["--method", "classmix", "--versus", "cutmx"], "did you mean 'cutmix'?"),
        (["--method", "classmix", "--versus", "--data.size", "32"], "unknown method ''"),
        (["--versus", "supervised"], "option --method is missing"),
        (
            ["--method", "classmix", "--versus", "supervised", "--resume", "runs/a"],
            "option --resume is given beside --versus, which trains two runs; type the command",
        ),
        (["--config", "a.yaml", "--versus", "supervised"], "option --config is given beside"),
        (["--method", "classmix", "--versus", "supervised", "--ckpt_path", "a"], "--ckpt_path is"),
        (
            ["--method", "classmix", "--versus", "supervised", "--seed_everything", "x"],
            "option seed_everything is 'x'; expected a whole number",
        ),
        (
            ["--method", "classmix", "--versus", "supervised", "--method.treshold", "1"],
            "did you mean 'threshold'?",
        ),
        (["--method", "classmix", "--versus", "supervised", "--data.rot", "a"], "data set street"),
    ],
)
def test_wrong_uses_end_in_one_sentence(here, capsys, args, said):
    assert main(["fit", *args]) == 2
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == 1
    assert not list(here.iterdir())


@pytest.mark.usefixtures("preflight_here")
@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("--data.batch_size", "error: option data.batch_size is 500, but there are only 8 labeled"),
        ("--data.unlabeled_batch_size", "error: 1 of 2 kinds of runs cannot work (classmix: "),
    ],
)
def test_what_cannot_work_is_said_once(here, capsys, option, said):
    assert trained(option, "500") == 2
    assert said in capsys.readouterr().err
    assert not list(here.iterdir())


def test_other_verbs_refuse_the_option(here, capsys):
    assert main(["test", "--ckpt_path", "a", "--versus", "supervised"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_options_of_the_method_go_to_it_alone():
    own = ["--method.threshold=0.5", "--reference", "runs/a"]
    shared = ["--optim.lr", "0.1", "--data.scale", "[0.5,", "1]"]
    rest = ["--seed_everything=7", "--out", "x"]
    asked = ask(["--method=cutmix", "--versus=classmix", *own, *shared, *rest])
    assert (asked.method, asked.versus, asked.seed) == ("cutmix", "classmix", 7)
    ours, theirs = plan_two(asked)
    assert {"--method.threshold=0.5", "--reference=runs/a"} < set(ours.args)
    assert not any("threshold" in arg or "reference" in arg for arg in theirs.args)
    for run in (ours, theirs):
        assert run.args[:6] == ["fit", "--method", run.row, "--seed_everything", "7", "--out"]
        assert {"--optim.lr", "[0.5,", "auto"} < set(run.args)


def test_photographs_need_no_name_of_a_method():
    asked = ask(["--data.images", "photos", "--versus", "supervised"])
    assert asked.method == "classmix"


def test_folders_are_named_after_the_data_and_never_taken_twice(here):
    asked = ask(["--method", "classmix", "--versus", "supervised"])
    data = {"name": "photos", "val": 1, "unlabeled": 1}
    forecasts = [Forecast({}, "a", "b", 1, None, data)] * 2
    (here / "runs" / "photos-classmix-seed0").mkdir(parents=True)
    placed = place(asked, plan_two(asked), forecasts)
    assert [str(run.folder) for run in placed] == [
        "runs/photos-classmix-seed0-2",
        "runs/photos-supervised-seed0",
    ]
    assert placed[0].args[-2:] == ["--out", "runs/photos-classmix-seed0-2"]
    assert placed[0].args.count("--out") == 1

    out = ask(["--method", "classmix", "--versus", "supervised", "--out", "here/a"])
    placed = place(out, plan_two(out), forecasts)
    assert [str(run.folder) for run in placed] == ["here/a", "here/a-versus-supervised"]
