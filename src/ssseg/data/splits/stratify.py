"""Choices of images by the classes that occur in them: coverage and stratification."""

import numpy as np

from ssseg.data.datasets.base import Array, Record, Source
from ssseg.data.reading import in_threads, kept_of


def class_presence(source: Source, records: list[Record]) -> Array:
    """Whether each class occurs in each image; reads the mask of every record.

    Returns:
        (N, C) bool.

    Raises:
        UserError: For the first mask that cannot be read.
    """

    def occurring(record: Record) -> list[int]:
        seen = np.bincount(source.read_mask(record).ravel(), minlength=256)
        return np.flatnonzero(seen[: source.num_classes]).tolist()

    shown = kept_of(source, "presence", records, lambda: list(in_threads(occurring, records)))
    presence = np.zeros((len(records), source.num_classes), bool)
    for row, ids in zip(presence, shown, strict=True):
        row[ids] = True
    return presence


def cover(presence: Array, least: int, rng: np.random.Generator) -> list[int]:
    """Few images, so that every class occurs in at least `least` of them, or in all it occurs in.

    The smallest such set is hard to compute (set multicover). This is the greedy algorithm: it adds
    the image with most of the classes that are still missing. At the end it removes images that
    are no longer needed.

    Args:
        presence: (N, C) bool, whether each class occurs in each image.
        least: Number of images per class.
        rng: Decides between images with the same number of missing classes.

    Returns:
        Indices, in the order in which they were chosen.
    """
    order = rng.permutation(len(presence))
    shown = presence[order]
    needed = np.minimum(least, shown.sum(0))
    missing, free, chosen = needed.copy(), np.ones(len(order), bool), list[int]()
    while missing.any():
        best = int(np.argmax(free * shown[:, missing > 0].sum(1)))
        free[best] = False
        chosen.append(best)
        missing = np.maximum(missing - shown[best], 0)
    held = shown[chosen].sum(0)
    for image in chosen.copy():
        if (held - shown[image] >= needed).all():
            chosen.remove(image)
            held -= shown[image]
    return [int(order[image]) for image in chosen]


def stratify(presence: Array, count: int, rng: np.random.Generator) -> list[int]:
    """Images in which each class has about the same share as in all images.

    The first images are a cover: every class once, if the count allows. Then follows iterative
    stratification (Sechidis et al. 2011, "On the stratification of multi-label data"): of the
    undecided images, those with the rarest class are decided first. As many of them are chosen as
    the share of this class requires; the others are not chosen. If rounding leaves too few images,
    more are added at the end.

    Args:
        presence: (N, C) bool, whether each class occurs in each image.
        count: Number of images to choose.
        rng: Decides between images with the same class.

    Returns:
        `count` indices.
    """
    wish = presence.sum(0) * count / len(presence)
    chosen = cover(presence, 1, rng)[:count]
    undecided = rng.permutation(np.setdiff1d(np.arange(len(presence)), chosen))
    passed = list[int]()
    while presence[undecided].any() and len(chosen) < count:
        left = presence[undecided].sum(0)
        rarest = int(np.argmin(np.where(left > 0, left, len(presence) + 1)))
        shows = presence[undecided, rarest]
        members, undecided = undecided[shows].tolist(), undecided[~shows]
        more = round(wish[rarest]) - int(presence[chosen, rarest].sum())
        more = min(max(more, 0), count - len(chosen))
        chosen += members[:more]
        passed += members[more:]
    # undecided images first, then images that were not chosen
    spare = [*undecided.tolist(), *rng.permutation(passed).tolist()]
    return chosen + [int(image) for image in spare[: count - len(chosen)]]
