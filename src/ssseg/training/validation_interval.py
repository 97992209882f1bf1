"""How often a run validates: by what it costs, counted and never timed, so that runs repeat.

Cost is counted in pixels that pass a network. A backward pass counts as two forward ones, so a
labeled crop costs three; an unlabeled one costs four, as somebody must say its pseudo-label.
"""

from math import prod

from ssseg.data.module import SegmentationData
from ssseg.evaluation.inference import Inference

SHARE = 0.2
"""Of the computing, that validations may take where nobody has said how often they come."""
MOST = 8
"""Validations of a run that nobody asked for."""
LABELED, UNLABELED = 3, 4
"""Passes of a training image."""


def validation_pixels(data: SegmentationData, inference: Inference) -> int:
    """Pixels that pass a network which is scored on the validation images."""
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

    At most `MOST` validations, and no more than fit `SHARE` of the run, if one does. Runs of all
    methods on the same data are validated at the same steps, for their scores to be compared: what
    counts is the cheaper training, be it supervised or with a second network to be scored.

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
    """The part of a run's computing that its validations take.

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
