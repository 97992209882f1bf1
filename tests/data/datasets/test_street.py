"""Street scenes have the layout that their classes promise."""

import numpy as np

from ssseg.data.datasets.street import BUILDING, CAR, PERSON, ROAD, SKY, Street


def masks(count=24):
    source = Street(size=48)
    return np.stack([source.read_mask(record) for record in source.records("val")[:count]])


def test_sky_is_above_and_the_road_below():
    drawn = masks()
    assert (drawn[:, 0] == SKY).mean() > 0.5
    assert not (drawn[:, -1] == SKY).any()
    assert (drawn[:, -1] == ROAD).mean() > 0.3
    assert not (drawn[:, 0] == ROAD).any()
    height = np.arange(48)[None, :, None]
    centre = {c: (height * (drawn == c)).sum() / (drawn == c).sum() for c in (SKY, BUILDING, ROAD)}
    assert centre[SKY] < centre[BUILDING] < centre[ROAD]


def test_every_class_occurs_and_large_things_are_large():
    drawn = masks(48)
    share = np.bincount(drawn.ravel(), minlength=8) / drawn.size
    assert len(share) == len(Street.classes)
    assert (share > 0).all()
    assert min(share[SKY], share[ROAD]) > max(share[CAR], share[PERSON])
