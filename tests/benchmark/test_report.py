import json

import numpy as np
import pytest
from PIL import Image

from ssseg.benchmark.report import markdown, picture, reference_of, rows, spread
from ssseg.errors import UserError
from ssseg.run import Run


def write_run(folder, method, student, teacher=None, best=None, seed=0):
    """A run folder as `ssseg fit` leaves it, as far as the report reads it."""
    last = {"student": {"miou": student}}
    if teacher is not None:
        last["teacher"] = {"miou": teacher}
    predictor = list(last)[-1]
    summary = {
        "method": {"name": method},
        "data": {
            "name": "street",
            "split": "16 seed 0",
            "split_hash": "abc",
            "labeled": 16,
            "unlabeled": 496,
            "val": 128,
            "classes": [{"name": "road", "color": [128, 64, 128]}],
        },
        "steps": 100,
        "seed": seed,
        "predictor": predictor,
        "last": last,
        "best": {predictor: {"miou": best or last[predictor]["miou"], "step": 50}},
        "history": [{"step": s, **{n: v["miou"] for n, v in last.items()}} for s in (50, 100)],
        "seconds": 12.0,
        "device": "CPU",
        "versions": {"torch": "2"},
    }
    tiles = folder / "samples" / "tiles"
    tiles.mkdir(parents=True)
    for name in ("input", "truth", *last):
        for i in range(4):
            Image.fromarray(np.full((8, 8, 3), 40 * i, np.uint8)).save(tiles / f"{name}_{i}.png")
    (folder / "summary.json").write_text(json.dumps(summary))
    return Run(folder)


@pytest.fixture
def study(tmp_path):
    return [
        write_run(tmp_path / "s0", "supervised", 0.40),
        write_run(tmp_path / "c0", "classmix", 0.46, 0.45, best=0.47),
        write_run(tmp_path / "s1", "supervised", 0.44, seed=1),
        write_run(tmp_path / "c1", "classmix", 0.50, 0.49, best=0.52, seed=1),
    ]


def test_rows_hold_last_and_best_student_and_teacher(study):
    supervised, classmix = rows(study)
    assert supervised.student == pytest.approx([40, 44])
    assert supervised.teacher == []
    assert supervised.last == pytest.approx([40, 44])
    assert classmix.student == pytest.approx([46, 50])
    assert classmix.last == classmix.teacher == pytest.approx([45, 49])
    assert classmix.best == pytest.approx([47, 52])
    assert reference_of([supervised, classmix]) is supervised


def test_the_table_says_the_gain_of_the_last_step_over_supervised(study):
    text = markdown(rows(study))
    line = next(line for line in text.splitlines() if line.startswith("| classmix"))
    assert [cell.strip() for cell in line.strip("|").split("|")] == [
        "classmix",
        "48.0 ± 2.8",
        "47.0 ± 2.8",
        "+5.0",
        "49.5 ± 3.5",
        "12 s",
    ]
    assert "16 labeled, 496 unlabeled, 100 steps, 2 seeds" in text
    assert "no result" in text


def test_a_run_without_scores_is_one_sentence(study):
    file = study[1].folder / "summary.json"
    file.write_text(json.dumps({**study[1].summary, "last": {}, "best": {}}))
    with pytest.raises(UserError, match="c0 has no scores; a benchmark needs validation images"):
        rows(study)


def test_one_seed_has_no_spread_and_no_runs_no_value():
    assert spread([41.25]) == "41.2"
    assert spread([]) == "-"


def test_without_a_supervised_run_there_is_no_gain(study):
    text = markdown(rows([study[1]]))
    assert "| classmix | 46.0 | 45.0 | - |" in text


def test_the_picture_is_drawn_from_files(study, tmp_path):
    picture(rows(study), tmp_path / "comparison.png")
    pixels = np.asarray(Image.open(tmp_path / "comparison.png").convert("RGB"))
    assert pixels.shape[0] > 500
    assert pixels.std() > 10
