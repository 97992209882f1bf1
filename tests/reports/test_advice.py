import pytest

from ssseg.reports.advice import advice
from tests.benchmarking.folders import write, write_metrics

METHOD = {"name": "classmix", "threshold": 0.968, "warmup_steps": 0.3, "weight": 1.0}


def proposals(tmp_path, *, trusted=None, labels=0.4, worse=True, images=200, **changes):
    changes = {"alerts": [], "history": [{"step": 400, "teacher": 0.45}], **changes}
    run = write(tmp_path / "a", METHOD, 0.45, 0.45, steps=80, **changes)
    if trusted is None:
        write_metrics(run.folder, loss=[1.0])
    else:
        write_metrics(run.folder, train__trusted=["", *[0.5] * 5, trusted, trusted])
    return advice(run, write(tmp_path / "b", student=labels), images, worse=worse)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (
            {"trusted": 0.02},
            "2 % of the pseudo-labels were trusted at the end: train longer, or lower the "
            "threshold (--method.threshold, now 0.968)",
        ),
        (
            {"trusted": 0.97, "last__teacher": {"miou": 0.45, "pixel_accuracy": 0.62}},
            "97 % of the pseudo-labels were trusted at the end, but only 62 % of the validation "
            "pixels are right: raise the threshold (--method.threshold, now 0.968)",
        ),
        (
            {"exposures": {"labeled": 400.0, "unlabeled": 0.25}},
            "each unlabeled image was seen 0.2 times: one pass takes 320 steps "
            "(--trainer.max_steps 320)",
        ),
        (
            {"history": [{"step": 40, "teacher": 0.40}, {"step": 80, "teacher": 0.45}]},
            "classmix was still rising (+5.0 points at the end): train longer (--trainer.max_steps "
            "160)",
        ),
        (
            {"labels": 0.93},
            "the labels alone give 93 mIoU, which leaves little to gain: label fewer images, or "
            "score on harder ones",
        ),
        (
            {"data__unlabeled": 4},
            "there are 4 unlabeled images beside 16 labeled ones: add some",
        ),
        (
            {"alerts": [{"kind": "collapse"}]},
            "nearly all pseudo-labels became one class: train longer before unlabeled images count "
            "(--method.warmup_steps, now 0.3), or lower their weight (--method.weight, now 1)",
        ),
    ],
)
def test_each_cause_has_its_proposal_and_no_other(tmp_path, options, text):
    assert proposals(tmp_path, **options) == (text,)


def test_without_a_cause_there_is_no_proposal(tmp_path):
    assert proposals(tmp_path, trusted=0.6) == ()


def test_the_accuracy_of_pseudo_labels_comes_before_that_of_validation_pixels(tmp_path):
    run = write(tmp_path / "a", METHOD, 0.45, 0.45, steps=40, alerts=[], history=[])
    write_metrics(run.folder, train__trusted=[0.99] * 4, train__pseudo_accuracy=[0.5] * 4)
    (text,) = advice(run, write(tmp_path / "b"), 200, worse=True)
    assert "only 50 % of them are right" in text


def test_at_most_two_and_the_doubt_always_when_it_cannot_be_told(tmp_path):
    causes = {
        "trusted": 0.0,
        "exposures": {"labeled": 1.0, "unlabeled": 0.5},
        "labels": 0.95,
        "data__unlabeled": 1,
    }
    found = proposals(tmp_path / "worse", **causes)
    assert [text.split()[0] for text in found] == ["0", "each"]
    found = proposals(tmp_path / "open", worse=False, images=6, **causes)
    assert found[0].startswith("0 %")
    assert found[1] == ("score on more than 6 validation images (label more, or hold out more)")
    (found,) = proposals(tmp_path / "many", worse=False)
    assert found.endswith("(ssseg benchmark --methods classmix --seeds 3)")


def test_an_option_that_the_method_does_not_have_is_not_named(tmp_path):
    run = write(tmp_path / "a", {"name": "mine"}, 0.4, 0.4, alerts=[], history=[])
    write_metrics(run.folder, train__trusted=[0.01])
    (run.folder / "metrics.csv").write_text("step,train/trusted\n799,0.01\n")
    (text,) = advice(run, write(tmp_path / "b"), 200, worse=True)
    assert text.endswith("lower the threshold")
