"""What is known of a data set, as files hold it."""

import json

import pytest

from ssseg.data.datasets.base import ClassInfo
from ssseg.data.info import DataInfo
from ssseg.serialization import to_plain
from tests.prediction.models import VERSION_0_1


@pytest.mark.parametrize("size", [None, [48, 96]])
def test_the_data_of_a_file_of_before_are_read(size):
    saved = {**VERSION_0_1, "image_size": size}
    data = DataInfo.from_plain(saved)
    assert data.classes[1] == ClassInfo("car", (0, 0, 142))
    assert (data.mean, data.crop_size) == ((0.485, 0.456, 0.406), (64, 64))
    assert json.loads(json.dumps(to_plain(data))) == saved
    assert DataInfo.from_plain(json.loads(json.dumps(to_plain(data)))) == data
