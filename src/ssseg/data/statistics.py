"""Mean and standard deviation per channel, of a data set's own images."""

from collections.abc import Sequence

import numpy as np

from ssseg.data.datasets.base import Array, Record, Source
from ssseg.data.reading import in_threads, kept_of

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
ENOUGH = 200
"""Images that are read: more would not move the result by anything that matters."""


def statistics_of(
    source: Source, records: Sequence[Record]
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation per channel over evenly spaced images.

    Args:
        source: Reads them.
        records: The images; at most 200 of them are read.

    Returns:
        Two tuples of one number per channel: of 8-bit and 16-bit images in [0, 1], of images in
        float in their own unit.
    """
    count = min(len(records), ENOUGH)
    chosen = [records[place * len(records) // count] for place in range(count)]

    def sums(record: Record) -> tuple[int, Array, Array]:
        image = source.read_image(record)
        values = image.reshape(-1, source.in_channels).astype(np.float64)
        values /= 255 if image.dtype == np.uint8 else 1
        return len(values), values.sum(0), np.square(values).sum(0)

    def found() -> tuple[list[float], list[float]]:
        pixels, total, squares = 0, np.zeros(source.in_channels), np.zeros(source.in_channels)
        for number, values, squared in in_threads(sums, chosen):
            pixels, total, squares = pixels + number, total + values, squares + squared
        mean: Array = total / pixels
        # a channel that never changes says nothing; it must not be divided by 0
        std: Array = np.sqrt(np.maximum(squares / pixels - mean**2, 1e-12))
        return mean.tolist(), std.tolist()

    mean, std = kept_of(source, "statistics", chosen, found)
    return tuple(mean), tuple(std)
