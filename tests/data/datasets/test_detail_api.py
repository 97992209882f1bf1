import json

import numpy as np
import pytest

from ssseg.data.datasets.context import Context
from ssseg.data.datasets.detail_api import decode_runs
from tests.data.official_trees import CONTEXT_TRAIN, SIZE, draw_context, run_length_code


def test_masks_of_one_json_are_kept_apart_in_a_cache(tmp_path):
    source = Context(str(draw_context(tmp_path / "data", "json")))
    plain = [source.read_mask(record) for record in source.records("train")]
    source.use_cache(tmp_path / "cache")
    for _ in range(2):
        cached = [source.read_mask(record) for record in source.records("train")]
        assert all(np.array_equal(a, b) for a, b in zip(plain, cached, strict=True))


def test_the_later_annotation_is_on_top(tmp_path):
    home = draw_context(tmp_path, "json")
    path = home / "trainval_merged.json"
    content = json.loads(path.read_text())
    number = int(CONTEXT_TRAIN[0].replace("_", ""))
    code = {"size": list(SIZE), "counts": run_length_code(np.ones(SIZE, bool))}
    content["annos_segmentation"].append(
        {"id": 99, "image_id": number, "category_id": 458, "segmentation": code}
    )
    path.write_text(json.dumps(content))
    source = Context(str(home))
    record = next(r for r in source.records("train") if r.id == CONTEXT_TRAIN[0])
    assert (source.read_mask(record) == 58).all()


def test_run_length_codes():
    # runs 2, 3, 1, 1: from the fourth on the difference to the run before the last, 1 - 3 = -2
    assert decode_runs("231N", (7, 1)).ravel().tolist() == [0, 0, 1, 1, 1, 0, 1]
    # column by column
    assert decode_runs("22", (2, 2)).tolist() == [[False, True], [False, True]]
    rng = np.random.default_rng(0)
    for seed in range(50):
        mask = rng.random((seed + 1, 37)) < rng.random()
        assert np.array_equal(decode_runs(run_length_code(mask), mask.shape), mask)


@pytest.mark.parametrize("counts", ["", "2", "99", "23 1N", "231", "R", "2é"])
def test_what_is_no_run_length_code(counts):
    with pytest.raises(ValueError):  # noqa: PT011 (of its callers, who say where)
        decode_runs(counts, (7, 1))
