"""Choices that look at which classes occur in which image: coverage and stratification."""

import numpy as np

from ssseg.data.datasets.base import Array, Record, Source
from ssseg.data.reading import in_threads, kept_of


def class_presence(source: Source, records: list[Record]) -> Array:
    """Which classes occur in which image; opens the mask of every record.

    Returns:
        (images, classes) bool.

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
    """A small choice in which every class occurs in so many images, or in all that show it.

    The smallest choice is a hard problem (set multicover). This is the greedy one: always the image
    that shows most of the classes still wanted. At the end images that later ones made superfluous
    are left out, so that none can be spared.

    Args:
        presence: (images, classes) bool.
        least: Images per class.
        rng: Decides between images that show equally many.

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
    """A choice that keeps the share of images in which each class occurs.

    First a cover: every class once, as far as the count allows; it does for any count of at least
    the number of classes. Then iterative stratification (Sechidis et al. 2011, "On the
    stratification of multi-label data") into the chosen and the rest: the class with the fewest
    undecided images comes first, because later it could not be mended. As many of its images are
    chosen as its share still asks for, the rest of them are left out. At the end images are added
    where rounding left too few.

    Args:
        presence: (images, classes) bool.
        count: Images to choose.
        rng: Decides which of the images with a class.

    Returns:
        Indices, as many as asked for.
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
    # first what no class spoke for or against, then anything
    spare = [*undecided.tolist(), *rng.permutation(passed).tolist()]
    return chosen + [int(image) for image in spare[: count - len(chosen)]]
