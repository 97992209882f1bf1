"""What cannot work is refused with the option that mends it."""

import re

import pytest

from ssseg.data.checks import (
    check_at_least,
    check_augmentation,
    check_classes,
    check_counts,
    check_evaluation,
    check_strong,
)
from ssseg.data.datasets import Street
from ssseg.data.datasets.base import ClassInfo
from ssseg.data.sampler import Stream
from ssseg.errors import UserError


def refused(said):
    return pytest.raises(UserError, match=re.escape(said))


def test_numbers_have_a_least_value():
    check_at_least(1, batch_size=1, crop_size=(1, 2), num_workers=None)
    with refused("option data.batch_size is 0; expected at least 1"):
        check_at_least(1, crop_size=(4, 4), batch_size=0)
    with refused("option data.crop_size is (32, 0)"):
        check_at_least(1, crop_size=(32, 0))


@pytest.mark.parametrize("scale", [None, (1.0, 1.0), (0.5, 2.0)])
@pytest.mark.parametrize("rotation", [None, 0, 180])
def test_augmentation_that_works(scale, rotation):
    check_augmentation(scale, rotation, 0.0)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (((0.0, 1.0), None, 0.0), "option data.scale is [0.0, 1.0]"),
        (((2.0, 1.0), None, 0.0), "option data.scale is [2.0, 1.0]"),
        ((None, -1, 0.0), "data.rotation -1"),
        ((None, 181, 0.0), "from 0 to 180 degrees"),
        ((None, None, -0.1), "option data.jitter is -0.1"),
    ],
)
def test_augmentation_that_does_not(given, said):
    with refused(said):
        check_augmentation(*given)


@pytest.mark.parametrize(("channels", "pixels"), [(4, "uint8"), (1, "uint8"), (3, "uint16")])
def test_changes_of_rgb_images_are_for_rgb_images(channels, pixels):
    source = Street()
    check_strong("random_intensity", source)
    source.in_channels, source.pixels = channels, pixels
    check_strong("jitter", source)
    with refused(f"the images have {channels} channels of {pixels}"):
        check_strong("random_intensity", source)


def test_one_class_is_none():
    source = Street()
    check_classes(source)
    source.classes = (ClassInfo("sky", (0, 0, 0)),)
    with refused("has one class, 'sky'"):
        check_classes(source)


def test_a_step_needs_as_many_images_as_it_takes():
    check_counts([Stream("labeled", 4, 4), Stream("unlabeled", 9, 4)])
    with refused("option data.batch_size is 5, but there are only 4 labeled images"):
        check_counts([Stream("labeled", 4, 5), Stream("unlabeled", 9, 4)])
    with refused("option data.unlabeled_batch_size is 5, but there are only 4 unlabeled"):
        check_counts([Stream("labeled", 4, 4), Stream("unlabeled", 4, 5)])
    with refused("needs unlabeled images, but every training image is labeled"):
        check_counts([Stream("labeled", 4, 4), Stream("unlabeled", 0, 0)])


def test_scores_need_images():
    check_evaluation(Street(val_images=2), "val")
    with refused("data set 'street' has no val images with masks"):
        check_evaluation(Street(val_images=0), "val")
