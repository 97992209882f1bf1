"""Where a step stands in its run, and where its random numbers come from."""

import pytest
import torch

from ssseg.distributed import DistInfo, GlobalBatchGenerator
from ssseg.types import Step


def at(index, total=200, **more):
    return Step(index, total, torch.Generator().manual_seed(0), **more)


@pytest.mark.parametrize(("index", "share"), [(0, 0.0), (50, 0.25), (200, 1.0), (300, 1.0)])
def test_the_share_that_is_done(index, share):
    assert at(index).fraction == share


def test_a_run_of_no_steps_is_done_by_none():
    assert at(0, total=0).fraction == 0


@pytest.mark.parametrize(
    ("asked", "steps"), [(0, 0), (0.25, 50), (0.999, 200), (1, 1), (1.0, 1), (37.0, 37), (500, 500)]
)
def test_a_duration_below_1_is_a_share_of_the_run(asked, steps):
    assert at(0).length(asked) == steps


def test_one_device_draws_for_itself_and_several_draw_alike():
    alone = at(0)
    assert alone.draws is alone.generator
    common = torch.Generator().manual_seed(5)
    shared = at(0, devices=DistInfo(1, 2), common=common)
    assert isinstance(shared.draws, GlobalBatchGenerator)
    assert (shared.draws.generator, shared.draws.devices) == (common, DistInfo(1, 2))


def test_a_step_cannot_be_changed():
    with pytest.raises(AttributeError):
        at(0).index = 1
