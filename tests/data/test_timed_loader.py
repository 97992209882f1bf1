import time

import pytest

from tests.data.trees import data_of


@pytest.mark.parametrize("num_workers", [0, 1])
def test_the_watch_counts_waiting_and_nothing_else(tree, num_workers):
    data = data_of(tree, num_workers=num_workers)
    read = data.source.read_image
    data.source.read_image = lambda record: time.sleep(0.02) or read(record)
    iterator = iter(data.train_dataloader())
    try:
        next(iterator)
        assert data.waiting.seconds > 4 * 0.02  # four images are read one after the other
        before = data.waiting.seconds
        time.sleep(0.3)  # a step of training
        assert data.waiting.seconds == before
    finally:
        if num_workers:
            iterator._shutdown_workers()
