import pytest
import torch

from ssseg.ops.regions import random_regions, region_labels
from ssseg.types import IGNORE
from tests.spread import seeded

CLASSES = 3


def one_by_one(label, trusted, regions, level):
    """The definition, region after region and pixel after pixel."""
    found, covered = label.clone(), torch.zeros_like(trusted)
    for image in range(len(label)):
        for region in regions[image]:
            sure = [int(c) for c in label[image][region & trusted[image]] if c < CLASSES]
            counts = [sure.count(c) for c in range(CLASSES)]
            size = int(region.sum())
            if len(sure) >= level * size and max(counts) > level * len(sure):
                found[image][region] = counts.index(max(counts))
                covered[image][region] = True
    return found, covered


@pytest.mark.parametrize("level", [0.0, 0.4, 0.75])
def test_regions_take_the_label_of_their_trusted_pixels(level):
    """Some regions pass, some do not, some overlap; ignored pixels are no label."""
    g = seeded(3)
    label = torch.randint(0, CLASSES, (2, 1, 6), generator=g).repeat_interleave(5, 1)
    label[:, 0, 0] = IGNORE
    trusted = torch.rand(2, 5, 6, generator=g) < 0.8
    regions = torch.zeros(2, 12, 5, 6, dtype=torch.bool)
    for image, number, row, column in torch.randint(0, 4, (60, 4), generator=g).tolist():
        regions[image % 2, 3 * number + row % 3, row : row + 2, column : column + 2] = True
    wanted, where = one_by_one(label, trusted, regions, level)
    found, covered = region_labels(label, trusted, regions, torch.tensor(level), CLASSES)
    assert torch.equal(covered, where)
    assert torch.equal(found[covered], wanted[where])
    assert covered.any()
    assert not covered.all()


def test_a_region_of_one_label_is_flooded_and_below_the_level_nothing_changes():
    label = torch.tensor([[[1, 1, 1, 2]]])
    trusted = torch.tensor([[[True, True, True, False]]])
    region = torch.ones(1, 1, 1, 4, dtype=torch.bool)
    found, covered = region_labels(label, trusted, region, torch.tensor(0.75), CLASSES)
    assert found.tolist() == [[[1, 1, 1, 1]]]
    assert covered.all()
    _, covered = region_labels(label, trusted, region, torch.tensor(0.76), CLASSES)
    assert not covered.any()


def test_the_last_of_several_regions_counts():
    label = torch.tensor([[[0, 1, 2]]])
    trusted = torch.ones(1, 1, 3, dtype=torch.bool)
    regions = torch.tensor([[[[True, True, False]], [[False, True, False]]]])
    found, covered = region_labels(label, trusted, regions, torch.tensor(0.4), CLASSES)
    assert found[covered].tolist() == [0, 1]
    found, _ = region_labels(label, trusted, regions.flip(1), torch.tensor(0.4), CLASSES)
    assert found[covered].tolist() == [0, 0]


def test_regions_are_the_positions_that_are_alike():
    """Two groups of positions, each similar within; every position is drawn at times."""
    group = torch.tensor([0, 0, 1, 1]).expand(2, -1)
    alike = (group[:, :, None] == group[:, None]).double()
    regions = random_regions(alike, (2, 2), (2, 2), 40, generator=seeded())
    kinds = {tuple(region.flatten().tolist()) for region in regions.flatten(0, 1)}
    assert kinds == {(True, True, False, False), (False, False, True, True)}
    alone = random_regions(torch.eye(6)[None], (2, 3), (2, 3), 60, generator=seeded())
    assert set(alone.flatten(2).int().argmax(2).flatten().tolist()) == set(range(6))
    assert (alone.sum((2, 3)) == 1).all()


def test_a_map_without_differences_has_no_region_and_sizes_may_be_any():
    even = torch.full((2, 6, 6), 1 / 6)
    regions = random_regions(even, (2, 3), (5, 7), 3, generator=seeded())
    assert regions.shape == (2, 3, 5, 7)
    assert not regions.any()
