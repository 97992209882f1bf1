"""How often a run validates: by the cost, which is counted and not timed, so that runs repeat.

Cost is counted in pixels that pass a network. A backward pass counts as two forward passes, so a
labeled crop costs three; an unlabeled one costs four, with the pass that makes its pseudo-label.
"""

from math import prod

from ssseg.data.module import SegmentationData
from ssseg.evaluation.inference import Inference

SHARE = 0.2
"""Share of the computation that validations may take where no interval is given."""
MOST = 8
"""Largest number of validations where no interval is given."""
LABELED, UNLABELED = 3, 4
"""Cost of a training pixel, in forward passes."""


def validation_pixels(data: SegmentationData, inference: Inference) -> int:
    """Pixels that pass one network in a validation."""
    infer = inference.within(data.crop_size)
    sizes = (
        data.image_size or data.source.size_of(record) or data.crop_size
        for record in data.source.records("val")
    )
    return sum(infer.pixels(size) for size in sizes)


def training_pixels(data: SegmentationData, num_views: int) -> int:
    """Pixels that pass networks in a training batch, forward and backward."""
    unlabeled = data.unlabeled_batch_size if num_views else 0
    return prod(data.crop_size) * (LABELED * data.batch_size + UNLABELED * unlabeled)


def steps_between(
    steps: int, batches_per_step: int, data: SegmentationData, inference: Inference
) -> int:
    """Steps from one validation to the next, the last step always being validated.

    At most `MOST` validations, which take at most `SHARE` of the run where more than one does. Runs
    of all methods on the same data validate at the same steps, so that their scores can be
    compared: the interval is that of the cheapest training, supervised or with a second network.

    Args:
        steps: Of the run.
        batches_per_step: Gradients of so many batches are accumulated.
        data: Of the run.
        inference: How networks are applied to validation images.
    """
    validation = validation_pixels(data, inference)
    if not validation:
        return steps
    per_validation = max(
        validation / training_pixels(data, 0), 2 * validation / training_pixels(data, 1)
    )  # in training batches
    affordable = SHARE / (1 - SHARE) * steps * batches_per_step / per_validation
    return -(-steps // max(1, min(MOST, int(affordable))))


def share_of_validation(
    steps: int,
    batches_per_step: int,
    every: int,
    data: SegmentationData,
    inference: Inference,
    *,
    networks: int,
    num_views: int,
) -> float:
    """The share of a run's computation that its validations take.

    Args:
        steps: Of the run.
        batches_per_step: Gradients of so many batches are accumulated.
        every: Batches from one validation to the next.
        data: Of the run.
        inference: How networks are applied to validation images.
        networks: How many are scored.
        num_views: Of an unlabeled image; 0 where unlabeled images play no part.
    """
    batches = steps * batches_per_step
    scored = -(-batches // every) * networks * validation_pixels(data, inference)
    return scored / (scored + batches * training_pixels(data, num_views))
