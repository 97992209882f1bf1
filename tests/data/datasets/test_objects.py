import numpy as np

from ssseg.data.datasets.objects import Objects
from ssseg.data.datasets.street import Street
from tests.data.trees import scenes


def test_street_and_objects_differ():
    for (street, _), (objects, _) in zip(
        scenes(Street(), "train"), scenes(Objects(), "train"), strict=True
    ):
        assert not np.array_equal(street, objects)
