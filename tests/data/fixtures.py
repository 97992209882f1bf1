import random

import numpy as np
import pytest
import torch

from tests.data.trees import draw_tree


@pytest.fixture
def tree(tmp_path):
    """8 training images, 3 validation images, 4 unlabeled ones; 3 classes, 24 x 32 pixels."""
    return draw_tree(tmp_path / "photos")


@pytest.fixture
def global_states():
    """Compares the global random states of Python, NumPy and torch with those at the start."""

    def states():
        numpy_state = np.random.get_state()  # noqa: NPY002 (the state that nobody may touch)
        return random.getstate(), numpy_state[1].tolist(), torch.get_rng_state().tolist()

    before = states()
    return lambda: states() == before
