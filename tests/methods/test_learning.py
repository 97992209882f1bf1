"""Do the methods learn from unlabeled images? Minutes, so `make test-slow`."""

import pytest
import torch

import ssseg


@pytest.mark.slow
@pytest.mark.parametrize("method", ["cutmix", "classmix", "complexmix"])
def test_mixing_beats_supervised_on_street(method, tmp_path):
    """A quarter of the gain that three seeds show at 800 steps (docs/background/results.md)."""
    torch.set_num_threads(2)
    runs = {
        name: ssseg.fit(name, out=tmp_path / name, max_steps=500) for name in ("supervised", method)
    }
    supervised = runs["supervised"].summary["last"]["student"]["miou"]
    mixed = runs[method].summary["last"]["teacher"]["miou"]
    assert mixed > supervised + 0.01
