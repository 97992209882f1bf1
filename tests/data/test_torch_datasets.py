import numpy as np
import torch

from ssseg.data.torch_datasets import collate_by_size, resize_mask
from ssseg.types import IGNORE, Labeled


def test_resized_masks_hold_no_ids_between_those_of_neighbors():
    mask = np.random.default_rng(0).choice(np.array([0, 2, IGNORE], np.uint8), (12, 18))
    np.testing.assert_array_equal(resize_mask(mask, (24, 36)), mask.repeat(2, 0).repeat(2, 1))
    # the middle one of three pixels, not the first
    np.testing.assert_array_equal(resize_mask(mask, (4, 6)), mask[1::3, 1::3])
    for size in ((7, 5), (13, 40), (12, 18)):
        assert resize_mask(mask, size).shape == size
        assert set(np.unique(resize_mask(mask, size))) <= {0, 2, IGNORE}


def test_collate_by_size_keeps_every_image_and_the_order():
    sizes = [4, 6, 4, 4, 6, 8]
    samples = [
        Labeled(torch.full((3, size, size), float(i)), torch.full((size, size), i))
        for i, size in enumerate(sizes)
    ]
    groups = collate_by_size(samples)
    assert [[int(label[0, 0]) for label in group.label] for group in groups] == [
        [0, 2, 3],
        [1, 4],
        [5],
    ]
    assert all(isinstance(group, Labeled) for group in groups)
    assert all((group.image[:, 0] == group.label).all() for group in groups)
