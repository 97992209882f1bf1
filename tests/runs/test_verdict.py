import json
from dataclasses import replace

import pytest

from ssseg.runs.run import Run
from ssseg.runs.verdict import Verdict, read_verdict, write_verdict
from tests.benchmarking.folders import write

HELPED = Verdict(
    method="classmix",
    versus="supervised",
    network="teacher",
    versus_network="student",
    miou=53.14,
    versus_miou=46.6,
    difference=6.54,
    interval=(4.02, 9.1),
    uncertainty=5.2,
    images=64,
    seed=0,
    steps=800,
    versus_steps=800,
    folder="a",
    versus_folder="b",
)


def test_the_sentence_of_a_method_that_is_better():
    assert HELPED.helped is True
    assert str(HELPED) == (
        "The unlabeled images helped: classmix reaches 53.1 mIoU (teacher), supervised 46.6 "
        "(student), a difference of +6.5 points (95 % interval +4.0 to +9.1) on 64 validation "
        "images, with one seed."
    )


@pytest.mark.parametrize(
    ("changes", "helped", "begin", "inside"),
    [
        (
            {"difference": -3.0, "interval": (-5.0, -1.0), "advice": ("this", "that")},
            False,
            "The unlabeled images did not help: ",
            "To try: this; that.",
        ),
        (
            {"interval": (-0.1, 2.0)},
            None,
            "It cannot be told whether the unlabeled images helped: ",
            "(95 % interval -0.1 to +2.0)",
        ),
        (
            {"images": 6, "interval": (1.0, 12.0), "uncertainty": 14.3},
            None,
            "It cannot be told whether the unlabeled images helped: ",
            "A score on 6 validation images is uncertain by about 14 points, and on fewer than 10 "
            "no difference can be told from 0.",
        ),
        (
            {"images": 12, "uncertainty": 0.7},
            True,
            "The unlabeled images helped: ",
            "A score on 12 validation images is uncertain by about 1 point.",
        ),
        ({"images": 1}, None, "It cannot be told", "on 1 validation image,"),
        ({"versus": "cutmix"}, True, "classmix is better than cutmix: ", "cutmix 46.6"),
        (
            {"versus": "cutmix", "interval": (-9.0, -4.0)},
            False,
            "classmix is worse than cutmix: ",
            "",
        ),
        (
            {"versus": "cutmix", "interval": (-1.0, 4.0)},
            None,
            "It cannot be told whether classmix is better than cutmix: ",
            "",
        ),
        (
            {"folds": 5, "images": 29},
            True,
            "The unlabeled images helped: ",
            "on 29 labeled images, each held out in one of 5 folds, with one seed. A score on 29 "
            "images is uncertain by about 5 points.",
        ),
        ({"versus_steps": 900}, True, "", "with one seed, after 800 and 900 steps."),
    ],
)
def test_the_kinds_of_sentences(changes, helped, begin, inside):
    verdict = replace(HELPED, **changes)
    assert verdict.helped is helped
    assert str(verdict).startswith(begin)
    assert inside in str(verdict)
    assert ("uncertain" in str(verdict)) is (verdict.images < 30)


def test_a_verdict_is_read_as_it_was_written(tmp_path):
    verdict = replace(HELPED, advice=("more",))
    write_verdict(tmp_path, verdict)
    assert read_verdict(tmp_path) == verdict
    content = json.loads((tmp_path / "verdict.json").read_text())
    assert content["text"] == str(verdict)
    assert content["helped"] is True
    # one of an earlier version, which knew no folds
    del content["folds"]
    (tmp_path / "verdict.json").write_text(json.dumps(content))
    assert read_verdict(tmp_path) == verdict


@pytest.mark.parametrize("text", [None, "{", "[]", '{"method": "classmix"}'])
def test_no_verdict_is_read_from_other_files(tmp_path, text):
    if text is not None:
        (tmp_path / "verdict.json").write_text(text)
    assert read_verdict(tmp_path) is None


def test_a_verdict_holds_until_the_run_is_trained_longer(tmp_path):
    run = write(tmp_path / "a", "classmix")
    assert run.verdict is None
    write_verdict(run.folder, HELPED)
    assert run.verdict == HELPED
    summary = run.summary | {"steps": 1600}
    (run.folder / "summary.json").write_text(json.dumps(summary))
    assert Run(run.folder).verdict is None
