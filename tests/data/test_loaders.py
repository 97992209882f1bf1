"""What training and evaluation are given, in which batches."""

import torch

from ssseg.data.loaders import eval_loader
from ssseg.data.torch_datasets import EvalImages
from ssseg.data.transforms import Normalize
from tests.conftest import make_data
from tests.data.trees import data_of, draw_tree


def images_of(root, **options):
    data = data_of(draw_tree(root, **options))
    records = data.source.records("val")
    return EvalImages(data.source, records, Normalize((0.5,) * 3, (0.5,) * 3), None)


def test_images_to_score_come_once_and_in_their_order(tmp_path):
    images = images_of(tmp_path / "photos", val=5)
    groups = list(eval_loader(images, 2, 0))
    assert [len(part.image) for group in groups for part in group] == [2, 2, 1]
    found = torch.cat([part.image for group in groups for part in group])
    assert torch.equal(found, torch.stack([images[i].image for i in range(5)]))


def test_a_device_without_images_has_one_empty_batch(tmp_path):
    images = images_of(tmp_path / "photos")
    images.records = []
    assert list(eval_loader(images, 2, 0)) == [[]]


def test_the_first_batch_is_that_of_the_loader():
    data = make_data(num_views=1)
    first, drawn = next(iter(data.train_dataloader())), data.draw(0)
    assert torch.equal(first.labeled.image, drawn.batch.labeled.image)
    assert torch.equal(first.unlabeled.views[0], drawn.batch.unlabeled.views[0])
    assert not set(drawn.labeled) & set(drawn.unlabeled)
