"""Readings against plain loops over pixels."""

import json
import math

import pytest
import torch

import ssseg
from ssseg.evaluation.pseudo_labels import class_counts, gradient_norm, pseudo_label_metrics
from ssseg.types import IGNORE, Pseudo
from tests.conftest import make_data, make_module, make_trainer

CLASSES, NAMES = 4, ["sky", "road", "car", "moon"]


@pytest.fixture
def pseudo():
    generator = torch.Generator().manual_seed(0)
    shape = (3, 6, 7)
    label = torch.randint(0, CLASSES - 1, shape, generator=generator)  # nobody says moon
    target = torch.randint(0, CLASSES, shape, generator=generator)
    return Pseudo(
        label=label,
        trusted=torch.rand(shape, generator=generator).round(),
        valid=torch.rand(shape, generator=generator) < 0.8,
        target=target,
        target_valid=torch.rand(shape, generator=generator) < 0.7,
        prediction=torch.randn(3, CLASSES, 6, 7, generator=generator),
    )


@pytest.fixture
def truth():
    generator = torch.Generator().manual_seed(1)
    truth = torch.randint(0, CLASSES, (3, 6, 7), generator=generator)
    truth[:, 0] = IGNORE
    return truth


def places(tensor):
    return [tuple(place) for place in torch.nonzero(torch.ones_like(tensor)).tolist()]


def test_shares_against_a_loop_over_pixels(pseudo, truth):
    found = {
        name: float(v)
        for name, v in pseudo_label_metrics(pseudo, truth, [6, 3, 1, 0], NAMES).items()
    }
    valid = [p for p in places(pseudo.label) if pseudo.valid[p]]
    asked = [p for p in places(pseudo.label) if pseudo.target_valid[p]]
    agreed = [
        p for p in asked if pseudo.prediction[p[0], :, p[1], p[2]].argmax() == pseudo.target[p]
    ]
    assert found["train/agreement"] == pytest.approx(len(agreed) / len(asked))

    shares = [sum(int(pseudo.label[p]) == c for p in valid) / len(valid) for c in range(CLASSES)]
    assert found["train/largest_class"] == pytest.approx(max(shares))
    labeled = [0.6, 0.3, 0.1, 0.0]
    shift = sum(abs(a - b) for a, b in zip(shares, labeled, strict=True)) / 2
    assert found["train/class_shift"] == pytest.approx(shift)

    known = [p for p in valid if truth[p] != IGNORE]
    right = [p for p in known if truth[p] == pseudo.label[p]]
    assert found["train/pseudo_accuracy"] == pytest.approx(len(right) / len(known))
    sure = [p for p in known if pseudo.trusted[p]]
    assert found["train/pseudo_accuracy_trusted"] == pytest.approx(
        len([p for p in sure if p in right]) / len(sure)
    )
    for c, name in enumerate(NAMES[:-1]):
        mine = [p for p in valid if pseudo.label[p] == c]
        trusted = sum(float(pseudo.trusted[p]) for p in mine)
        assert found[f"pseudo_share/{name}"] == pytest.approx(shares[c])
        assert found[f"pseudo_trusted/{name}"] == pytest.approx(trusted / len(mine))
        mine = [p for p in known if pseudo.label[p] == c]
        accurate = len([p for p in mine if p in right]) / len(mine)
        assert found[f"pseudo_accuracy/{name}"] == pytest.approx(accurate)
    assert found["pseudo_share/moon"] == 0
    assert math.isnan(found["pseudo_trusted/moon"])


def test_without_truth_nothing_is_said_of_accuracy(pseudo):
    assert not [
        name for name in pseudo_label_metrics(pseudo, None, None, NAMES) if "accuracy" in name
    ]
    assert "train/class_shift" not in pseudo_label_metrics(pseudo, None, None, NAMES)


def test_soft_labels_count_as_their_largest_class(pseudo, truth):
    soft = torch.nn.functional.one_hot(pseudo.label, CLASSES).movedim(-1, 1) * 0.6 + 0.1
    first = pseudo_label_metrics(pseudo, truth, None, NAMES)
    second = pseudo_label_metrics(pseudo._replace(label=soft), truth, None, NAMES)
    for name, value in first.items():
        assert torch.equal(value.nan_to_num(-1), second[name].nan_to_num(-1)), name


def test_labels_find_the_truth_of_their_image(pseudo, truth):
    order = torch.tensor([2, 0, 1])
    turned = Pseudo(*(None if part is None else part[order] for part in pseudo))
    first = pseudo_label_metrics(pseudo, truth, None, NAMES)["train/pseudo_accuracy"]
    second = pseudo_label_metrics(turned._replace(image=order), truth, None, NAMES)[
        "train/pseudo_accuracy"
    ]
    assert first == pytest.approx(float(second))


def test_ids_of_no_class_count_nowhere():
    label = torch.tensor([[[0, 1, IGNORE], [7, 1, 0]]])
    valid = torch.tensor([[[True, True, True], [True, True, False]]])
    assert class_counts(label, valid, 2).tolist() == [1, 2]


def test_the_norm_of_all_gradients():
    first, second, third = (torch.nn.Parameter(torch.zeros(n)) for n in (2, 1, 5))
    first.grad, second.grad = torch.tensor([3.0, 0.0]), torch.tensor([4.0])
    assert gradient_norm([first, second, third]) == 5
    assert gradient_norm([third]) == 0


def test_readings_are_logged_where_numbers_are_and_nowhere_else(tmp_path):
    run = ssseg.fit(
        "classmix",
        data="street",
        max_steps=9,
        out=tmp_path / "run",
        method_options={"threshold": 0.0, "warmup_steps": 3},
        trainer={"accelerator": "cpu", "log_every_n_steps": 2, "val_check_interval": 9},
        train_images=24,
        val_images=2,
        size=32,
        labeled=8,
        batch_size=4,
    )
    logged = [row for row in run.metrics if "train/gradient_norm" in row]
    assert [row["step"] for row in logged] == [1, 3, 5, 7, 8]  # the last step, too
    assert len({row["train/gradient_norm"] for row in logged}) == len(logged)
    assert all(row["train/gradient_norm"] > 0 for row in logged)
    told = [row for row in logged if "train/pseudo_accuracy" in row]
    assert [row["step"] for row in told] == [3, 5, 7, 8]  # the warm-up makes no pseudo-labels
    for row in told:
        shares = [value for name, value in row.items() if name.startswith("pseudo_share/")]
        assert sum(shares) == pytest.approx(1)
        assert not any(math.isnan(value) for value in row.values())
    pixels = run.summary["data"]["labeled_pixels"]
    assert sum(pixels) == 8 * 32 * 32


def test_no_method_sees_the_truth(tmp_path):
    module, data = make_module("classmix"), make_data(unlabeled_truth=True)
    seen = []
    losses = module.method.losses
    module.method.losses = lambda batch, step: seen.append(batch) or losses(batch, step)
    pictures = module.method.pictures
    module.method.pictures = lambda batch, step: seen.append(batch) or pictures(batch, step)
    make_trainer(3, tmp_path).fit(module, data)
    assert len(seen) == 3
    assert all(batch.truth is None for batch in seen)


def test_lending_the_truth_changes_nothing_that_is_learned(tmp_path):
    weights = []
    for lend in (False, True):
        module = make_module("classmix")
        make_trainer(4, tmp_path, log_every_n_steps=1).fit(module, make_data(unlabeled_truth=lend))
        weights.append({name: t.clone() for name, t in module.state_dict().items()})
    assert all(torch.equal(t, weights[1][name]) for name, t in weights[0].items())


def test_a_run_says_how_it_is_doing_until_it_is_finished(tmp_path, monkeypatch):
    news = []

    def look(self, trainer, module):
        news.append(json.loads((tmp_path / "run" / "progress.json").read_text()))

    monkeypatch.setattr(
        "ssseg.training.callbacks.final_validation.EvaluateLast.on_validation_start",
        look,
        raising=False,
    )
    run = ssseg.fit(
        "supervised",
        max_steps=6,
        out=tmp_path / "run",
        trainer={"accelerator": "cpu", "val_check_interval": 3},
        train_images=8,
        val_images=2,
        size=32,
        labeled="all",
    )
    assert [(one["step"], one["steps"]) for one in news[:1]] == [(1, 6)]  # about once a second
    assert set(news[-1]) == {"step", "steps", "images_per_second", "seconds_left", "miou"}
    assert news[-1]["miou"] == {"student": pytest.approx(run.history[0]["student"])}
    assert not (tmp_path / "run" / "progress.json").exists()
    assert run.progress == {}
