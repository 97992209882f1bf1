import json
from dataclasses import replace

import pytest

from ssseg.runs.cross_validation import CrossValidation, FoldScores, write_scores

TEACHER = FoldScores("teacher", (41.25, 38.0, 50.0), 42.04, (38.1, 45.5))
STUDENT = FoldScores("student", (40.0, 9.0, 44.0), 39.0, (30.0, 44.0))


def found(folder):
    return CrossValidation(folder, (6, 6, 5), {"classmix": TEACHER, "supervised": STUDENT})


def test_the_table_has_a_row_per_fold_and_those_of_all(tmp_path):
    assert str(found(tmp_path)).splitlines() == [
        "fold    images    classmix   supervised",
        "1            6        41.2         40.0",
        "2            6        38.0          9.0",
        "3            5        50.0         44.0",
        "mean            43.1 ± 6.2  31.0 ± 19.2",
        "pooled      17        42.0         39.0",
    ]
    alone = replace(found(tmp_path), scores={"classmix": TEACHER})
    assert str(alone).splitlines()[-1] == "pooled      17        42.0"


def test_the_sentence_and_the_file(tmp_path):
    done = found(tmp_path)
    assert done.sentence == (
        "classmix 42.0 mIoU (teacher; 95 % interval 38.1 to 45.5), supervised 39.0 mIoU (student; "
        "95 % interval 30.0 to 44.0) on 17 labeled images, each scored by a run that did not learn "
        "from it"
    )
    content = json.loads(write_scores(done).read_text())
    assert content["text"] == done.sentence
    assert content["images"] == [6, 6, 5]
    kept = content["methods"]["supervised"]
    assert kept["folds"] == [40.0, 9.0, 44.0]
    assert kept["mean"] == pytest.approx(31)
    assert kept["std"] == pytest.approx(367**0.5)
