"""What goes wrong is said once, in words, and what goes well is not spoken of."""

import shutil

import pytest

from ssseg.cli.main import main
from ssseg.runs.run import Run
from ssseg.training.callbacks.alerts import READINGS, Alert, AlertRules

LABELED = {"sky": 0.5, "road": 0.3, "car": 0.2}


def reading(trusted=0.6, largest=0.55, top="sky"):
    shares = dict.fromkeys((f"pseudo_share/{name}" for name in LABELED), (1 - largest) / 2)
    shares[f"pseudo_share/{top}"] = largest
    return {"train/trusted": trusted, "train/largest_class": largest, **shares}


def heard(watch, readings):
    return [alert for place, one in enumerate(readings, 1) for alert in watch.read(10 * place, one)]


def test_a_run_that_goes_well_is_left_in_peace():
    watch = AlertRules(0.968, LABELED, {50: 0.3, 100: 0.4}, steps=100)
    shares = [i / 39 for i in range(40)]
    assert heard(watch, [reading(trusted=share) for share in shares]) == []
    assert watch.score(100, 0.41) == []


@pytest.mark.parametrize(
    ("one", "kind", "words"),
    [
        ({"loss/sup": 0.0}, "nothing labeled", "larger crops (--data.crop_size)"),
        ({**reading(), "loss/sup": 0.0}, "nothing labeled", "label more of the images"),
        (reading(trusted=0.0), "nothing trusted", "(--method.threshold, now 0.968)"),
        (reading(trusted=0.0), "nothing trusted", "--method.warmup_steps"),
        (reading(trusted=1.0), "everything trusted", "has no effect"),
        (reading(largest=0.97, top="road"), "collapse", "97% or more"),
        (reading(largest=0.97, top="road"), "collapse", "'road', which has 30% of the labeled"),
    ],
)
def test_what_is_wrong_for_some_time_is_said_once(one, kind, words):
    watch = AlertRules(0.968, LABELED)
    assert heard(watch, [one] * (READINGS - 1)) == []
    (alert,) = watch.read(10 * READINGS, one)
    assert (alert.kind, alert.step) == (kind, 10 * READINGS)
    assert words in alert.text
    assert "since step 10" in alert.text
    assert heard(watch, [one] * 30) == []
    assert watch.raised == [alert]


def test_a_few_crops_without_labels_are_no_alert():
    watch = AlertRules()
    nothing, something = {"loss/sup": 0.0}, {"loss/sup": 1e-6}
    assert heard(watch, ([nothing] * (READINGS - 1) + [something]) * 3) == []


@pytest.mark.parametrize(
    ("threshold", "labeled", "one"),
    [
        (0.0, LABELED, reading(trusted=1.0)),  # trusting everything is what was asked for
        (None, LABELED, reading(trusted=1.0)),
        (0.9, {"sky": 0.9, "road": 0.1}, reading(largest=0.97)),  # most of the world is sky
        (0.9, LABELED, {"train/trusted": 0.0}),  # a supervised step has no pseudo-labels
    ],
)
def test_what_is_as_it_should_be(threshold, labeled, one):
    assert heard(AlertRules(threshold, labeled), [one] * 30) == []


def test_one_good_reading_starts_the_count_again():
    bad, good = reading(trusted=0.0), reading()
    watch = AlertRules(0.968, LABELED)
    assert heard(watch, [*[bad] * (READINGS - 1), good, *[bad] * (READINGS - 1)]) == []


def test_not_helping_is_asked_in_the_second_half_alone():
    reference = {25: 0.2, 50: 0.3, 75: 0.4, 100: 0.5}
    watch = AlertRules(reference=reference, steps=100)
    assert watch.score(25, 0.0) == []  # methods may start slower
    assert watch.score(50, 0.3) == []
    assert watch.score(60, 0.0) == []  # nothing to compare with
    (alert,) = watch.score(75, 0.381)
    assert alert.kind == "not helping"
    assert "mIoU is 38.1, that of the supervised reference 40.0 at the same step" in alert.text
    assert watch.score(100, 0.1) == []


COMMON = [
    *("--data", "street", "--data.train_images", "24", "--data.val_images", "4"),
    *("--data.size", "32", "--data.labeled", "8", "--data.batch_size", "4"),
    *("--trainer.accelerator", "cpu", "--trainer.max_steps", "24"),
    *("--network.encoder", "test_resnet", "--network.depth", "3"),
    *("--trainer.val_check_interval", "12", "--trainer.log_every_n_steps", "1"),
]
BLIND = ["fit", "--method", "classmix", "--method.threshold", "1.0", "--method.warmup_steps", "2"]


class TestRuns:
    @pytest.fixture(scope="class")
    def supervised(self, tmp_path_factory):
        folder = tmp_path_factory.mktemp("reference") / "run"
        assert main(["fit", "--method", "supervised", *COMMON, "--out", str(folder)]) == 0
        return folder

    def test_said_at_once_kept_in_the_summary_and_told_at_the_end(self, tmp_path, capsys):
        folder = tmp_path / "run"
        assert main([*BLIND, *COMMON, "--out", str(folder)]) == 0
        said = capsys.readouterr()
        assert said.err.count("nothing trusted") == 1
        assert "alert    step 12: nothing trusted: since step 3 fewer than 0.1%" in said.out
        (alert,) = Run(folder).summary["alerts"]
        assert (alert["step"], alert["kind"]) == (12, "nothing trusted")

        # as if killed after the last checkpoint: what was said is not forgotten, nor said again
        (folder / "summary.json").unlink()
        assert main(["fit", "--resume", str(folder)]) == 0
        assert "nothing trusted" not in capsys.readouterr().err
        assert Run(folder).summary["alerts"] == [alert]

    def test_not_helping(self, tmp_path, supervised, capsys):
        better = tmp_path / "better"
        shutil.copytree(supervised, better)
        summary = better / "summary.json"
        rows = Run(better).history
        text = summary.read_text()
        for row in rows:
            text = text.replace(f'"student": {row["student"]}', '"student": 0.987')
        summary.write_text(text)
        folder = tmp_path / "run"
        args = [*BLIND, *COMMON, "--out", str(folder), "--reference", str(better)]
        assert main(args) == 0
        assert "that of the supervised reference 98.7 at the same step" in capsys.readouterr().err
        kinds = {alert["kind"] for alert in Run(folder).summary["alerts"]}
        assert kinds == {"nothing trusted", "not helping"}

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            (["--data.split_seed", "5"], "was trained with other labeled images"),
            (["--reference", "nowhere"], "nowhere holds no finished run"),
        ],
    )
    def test_a_reference_that_cannot_be_compared_with(
        self, tmp_path, supervised, capsys, change, words
    ):
        folder = tmp_path / "run"
        args = [*BLIND, *COMMON, "--reference", str(supervised), *change, "--out", str(folder)]
        assert main(args) == 2
        assert words in capsys.readouterr().err
        assert not folder.exists()


def test_an_alert_reads_as_a_sentence():
    assert (
        str(Alert(120, "collapse", "everything is road"))
        == "step 120: collapse: everything is road"
    )
