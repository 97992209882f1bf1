import os
import random
from pathlib import Path

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


@pytest.fixture(scope="session")
def published():
    """Lists of public repositories; tests that need them are skipped where they are absent."""
    beside = Path(__file__).parents[3] / "shared" / "data" / "splits"
    folder = Path(os.environ.get("SSSEG_SPLITS", beside))
    if not (folder / "voc2012.json").is_file():
        pytest.skip(f"no published lists at {folder} (SSSEG_SPLITS says where they are)")
    return folder
