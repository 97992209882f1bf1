"""A run per fold: what was held out is scored, what was stopped goes on."""

import json

import numpy as np
import pytest

import ssseg
from ssseg.cli import cross_validation
from ssseg.cli.main import main
from ssseg.runs.run import Run
from tests.cli.test_pairs import TINY
from tests.data.loose import mask, usual

SUPERVISED = ["--method", "supervised", "--data.folds", "2", "--trainer.max_steps", "1"]


@pytest.fixture
def loose(here):
    """The options of two folders that lie here, with six masks."""
    usual(here, labeled=6, unlabeled=3)
    return ["--data.images", "photos", "--data.masks", "masks"]


def pooled(runs):
    """The mIoU of what the networks of all runs predict of the images that each held out."""
    counts = np.zeros((3, 3))
    for run in runs:
        model = ssseg.load(run.checkpoint())
        for one in json.loads((run.folder / "split.json").read_text())["val"]:
            found = model.predict(one["image"]).label
            np.add.at(counts, (mask(int(one["id"][1:])), found), 1)
    return 100 * np.mean(counts.diagonal() / (counts.sum(0) + counts.sum(1) - counts.diagonal()))


@pytest.mark.usefixtures("in_this_process")
def test_every_mask_is_scored_once_and_two_methods_are_compared(here, loose, capsys):
    fit = ["fit", *SUPERVISED, *loose, *TINY]
    assert main(fit) == 0
    said = capsys.readouterr().out
    assert "supervised fold 2 seed 0: started" in said
    assert "a part; for one that learns from all masks, give" in said
    (out,) = (here / "runs").iterdir()
    assert out.name.endswith("-supervised-folds2-seed0")
    ours = [Run(out / f"supervised-fold-{fold}-seed0") for fold in (1, 2)]
    splits = [json.loads((run.folder / "split.json").read_text()) for run in ours]
    assert [(split["made"]["fold"], split["made"]["folds"]) for split in splits] == [(1, 2), (2, 2)]
    held = [one["id"] for split in splits for one in split["val"]]
    assert sorted(held) == [f"a{number}" for number in range(6)]
    first = json.loads((out / "folds.json").read_text())["methods"]["supervised"]
    lasts = [100 * run.summary["last"]["student"]["miou"] for run in ours]
    assert first["folds"] == pytest.approx(lasts)
    assert first["pooled"] == pytest.approx(pooled(ours))
    assert f"pooled   supervised {first['pooled']:.1f} mIoU (student; 95 % interval" in said

    # stopped in its second fold: the first is done, and so is the step of the second
    (ours[1].folder / "summary.json").unlink()
    assert main([*fit, "--versus", "cutmix"]) == 0
    said = capsys.readouterr().out
    assert "supervised fold 1 seed 0: already finished" in said
    assert "supervised fold 2 seed 0: resumed" in said
    assert "cutmix fold 1 seed 0: started" in said
    assert [path.name for path in (here / "runs").iterdir()] == [out.name]
    both = json.loads((out / "folds.json").read_text())["methods"]
    assert both["supervised"] == first
    theirs = [Run(out / f"cutmix-fold-{fold}-seed0") for fold in (1, 2)]
    assert both["cutmix"]["pooled"] == pytest.approx(pooled(theirs))
    verdict = json.loads((out / "verdict.json").read_text())
    assert verdict["difference"] == pytest.approx(first["pooled"] - both["cutmix"]["pooled"])
    assert (verdict["images"], verdict["folds"], verdict["folder"]) == (6, 2, f"runs/{out.name}")
    assert said.splitlines()[-1] == f"verdict  {verdict['text']}"
    assert len(json.loads((out / "study.json").read_text())["runs"]) == 4


@pytest.mark.usefixtures("preflight_here")
@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--data.folds", "1"], "option data.folds is 1; expected at least 2"),
        (["--data.folds", "-2"], "option data.folds is '-2'; expected a whole number"),
        (["--data.folds", "7"], "option data.folds is 7, but only 6 labeled images can be held"),
        (["--data.folds", "2", "--data.val", "0.2"], "option data.val is 0.2 beside data.folds"),
        (["--data.folds=2", "--data.split", "a.json"], "option data.split is given beside"),
        (["--data.folds", "2", "--data", "street"], "data set street has validation images of its"),
        (["--data.folds", "2", "--resume", "a"], "--resume is given beside --data.folds, which"),
        (["--data.folds", "2", "--data.fold", "3"], "option data.fold is 3; expected the number"),
        (["--data.folds", "2", "--versus", "supervised"], "option versus is supervised, which is"),
    ],
)
def test_what_cannot_be_is_one_sentence(here, loose, capsys, options, said):
    given = [word for word in loose if "--data" not in options]
    assert main(["fit", "--method", "supervised", *given, *TINY, *options]) == 2
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == 1
    assert not (here / "runs").exists()


def test_python_types_the_same(monkeypatch, here, loose):
    monkeypatch.setattr(cross_validation, "fit_folds", lambda words: words)
    words = ssseg.cross_validate(
        images="photos", masks="masks", folds=3, versus="supervised", max_steps=7, seed=2
    )
    asked = cross_validation.ask(words)
    assert (asked.method, asked.versus, asked.seed) == ("classmix", "supervised", 2)
    assert {"--data=pairs", "--data.folds=3", "--trainer.max_steps=7"} < set(asked.shared)
    with pytest.raises(ssseg.UserError, match=r"ssseg\.cross_validate train"):
        ssseg.fit(images="photos", masks="masks", folds=3)
