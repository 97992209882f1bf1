import numpy as np
import pytest

from ssseg.errors import UserError
from tests.data.trees import data_of, deep_tree


def test_statistics_on_demand(tree):
    imagenet = data_of(tree)
    own = data_of(tree, statistics="data")
    assert imagenet.mean == (0.485, 0.456, 0.406)
    assert own.mean != imagenet.mean
    assert data_of(tree, statistics="data", mean=(0.1, 0.2, 0.3)).mean == (0.1, 0.2, 0.3)


def test_imagenet_statistics_are_for_eight_bit_colour(tmp_path):
    root = deep_tree(tmp_path, np.uint16, 200)
    with pytest.raises(
        UserError, match=r"data\.statistics is imagenet, but .* 2 channels of uint16"
    ):
        data_of(root, statistics="imagenet")
