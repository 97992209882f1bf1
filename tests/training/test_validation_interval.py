"""How often a run validates where nobody has said so."""

from itertools import product
from types import SimpleNamespace

import pytest
import torch

from ssseg.cli.preflight import preflight
from ssseg.data.datasets import Street
from ssseg.data.module import SegmentationData
from ssseg.evaluation.inference import Inference
from ssseg.training.callbacks.progress import validations
from ssseg.training.validation_interval import MOST, SHARE, share_of_validation, steps_between
from tests.conftest import make_module

WHOLE = Inference()


class Photos(Street):
    """Validation images of one size, as their headers say."""

    crop_size = (96, 96)

    def __init__(self, images, size):
        super().__init__(train_images=24, val_images=images)
        self.crop_size, self.shown = Photos.crop_size, size

    def size_of(self, record):
        return self.shown


def photos(images, size=(360, 480), **options):
    return SegmentationData(Photos(images, size), **{"labeled": 8, "batch_size": 4, **options})


def test_a_short_run_on_many_images_validates_once():
    """Six steps on CamVid's 101 images were six validations."""
    assert steps_between(6, 1, photos(101), WHOLE) == 6
    assert steps_between(200, 1, photos(101, crop_size=(256, 256)), WHOLE) == 100
    assert steps_between(8000, 1, photos(101, crop_size=(256, 256)), WHOLE) == 1000
    assert steps_between(800, 1, photos(2, (64, 64)), WHOLE) == 100, "no more than 8 of them"


@pytest.mark.parametrize(
    ("networks", "views"), [(1, 0), (1, 1), (2, 1)], ids=["supervised", "pseudo-labels", "teacher"]
)
def test_validations_take_the_stated_share_at_most(networks, views):
    inferences = (WHOLE, Inference(flip=True, scales=(0.5, 1.5)), Inference(mode="slide"))
    shares = []
    for steps, together, images, unlabeled, infer in product(
        (5, 80, 1000, 40000), (1, 3), (1, 12, 500), (1, 4, 16), inferences
    ):
        data = photos(images, unlabeled_batch_size=unlabeled)
        every = steps_between(steps, together, data, infer)
        assert 1 <= every <= steps
        assert -(-steps // every) <= MOST
        share = share_of_validation(
            *(steps, together, every * together, data, infer), networks=networks, num_views=views
        )
        if every < steps:
            shares.append(share)
            assert share <= SHARE
        else:
            assert -(-steps // every) == 1
    assert max(shares) > SHARE / 3, "it is far more careful than it says"


def test_without_validation_images_there_is_none():
    assert steps_between(50, 1, photos(0), WHOLE) == 50


@pytest.mark.parametrize(
    "infer",
    [
        WHOLE,
        Inference(flip=True, scales=(0.5, 1.0, 1.75)),
        Inference(mode="slide", window=(32, 48)),
        Inference(mode="slide", window=(32, 48), stride=(10, 48), flip=True, scales=(0.5, 1.5)),
        Inference(mode="slide", window=(500, 20)),
    ],
    ids=str,
)
@pytest.mark.parametrize("size", [(33, 97), (64, 48), (20, 20)])
def test_pixels_are_those_that_the_network_sees(infer, size):
    seen = []

    def network(image):
        seen.append(image[:, 0].numel())
        return image.new_zeros(len(image), 3, *image.shape[2:])

    infer(network, torch.zeros(1, 3, *size))
    assert infer.pixels(size) == sum(seen)


def test_all_methods_validate_at_the_same_steps():
    """Scores of a reference are compared step by step."""
    small = ["--data.train_images", "24", "--data.val_images", "24", "--data.size", "32"]
    small += ["--data.labeled", "8", "--data.batch_size", "4", "--trainer.accelerator", "cpu"]
    small += ["--network", "small", "--trainer.max_steps", "20"]
    for method in ("supervised", "mean_teacher"):
        config = preflight(["fit", "--method", method, *small])["config"]
        assert config["trainer"]["val_check_interval"] == 10
    two = ["--trainer.accumulate_grad_batches", "2"]
    config = preflight(["fit", "--method", "mixup", *small, *two])["config"]
    assert config["trainer"]["val_check_interval"] == 2 * 4


@pytest.mark.parametrize(
    ("method", "every", "said"),
    [
        ("supervised", 10, "1 network, every 10 steps and after the last one: about 17%"),
        ("mean_teacher", 10, "2 networks, every 10 steps and after the last one: about 15%"),
        ("mean_teacher", 1, "2 networks, every step and after the last one: about 63%"),
        ("mean_teacher", 99, "2 networks, once, after the last step: about 8%"),
    ],
)
def test_a_line_says_what_follows(method, every, said):
    trainer = SimpleNamespace(
        datamodule=photos(24, (96, 96)), max_steps=20, accumulate_grad_batches=1,
        val_check_interval=every, limit_val_batches=1.0,
    )  # fmt: skip
    line = validations(trainer, make_module(method))
    assert line == f"validation 24 images by {said} of the computing"
