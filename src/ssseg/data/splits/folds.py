"""Folds of a cross-validation: each labeled image is held out in one of them."""

from collections.abc import Sequence

import numpy as np

from ssseg.data.datasets.base import Array
from ssseg.data.splits.held_out import in_row
from ssseg.errors import UserError


def check_folds(folds: int | None, fold: int | None, val: float | str | None) -> None:
    """Refuse numbers that no cross-validation has.

    Args:
        folds: How many there are; None: no cross-validation.
        fold: The one of this run, from 1 on.
        val: Another way of holding out images, if it is asked for.

    Raises:
        UserError: For the first one that does not fit.
    """
    if folds is None:
        if fold is not None:
            raise UserError(
                f"option data.fold is {fold}, but not of how many; give data.folds too, such as 5"
            )
        return
    if folds < 2:
        raise UserError(
            f"option data.folds is {folds}; expected at least 2, so that each fold has images to "
            "learn from and images to score on"
        )
    if val is not None:
        raise UserError(
            f"option data.val is {val} beside data.folds, which holds out each labeled image once; "
            "leave one of them out"
        )
    if fold is None:
        raise UserError(
            f"option data.folds is {folds}, but a single run needs the number of its fold; give "
            f"data.fold, from 1 to {folds} (ssseg fit and ssseg.cross_validate train all of them)"
        )
    if not 1 <= fold <= folds:
        raise UserError(
            f"option data.fold is {fold}; expected the number of a fold, from 1 to {folds}"
        )


def fold_numbers(presence: Array, digests: Sequence[str], folds: int, seed: int) -> list[int]:
    """The fold in which each image is held out; every fold gets its share of each class.

    This is iterative stratification (Sechidis et al. 2011, "On the stratification of multi-label
    data", algorithm 1): the images that show the rarest class go first, each to the fold that has
    the fewest images of this class, then to the smallest. Unlike there, sizes of folds differ by
    one at most. Images of equal content stay together, and then sizes may differ more.

    Args:
        presence: (images, classes) bool.
        digests: Of the contents of the images.
        folds: How many; at least 2.
        seed: Another one gives another choice.

    Returns:
        Numbers from 1 to `folds`.

    Raises:
        UserError: For more folds than images.
    """
    groups = list(in_row(digests, seed).values())
    if len(groups) < folds:
        raise UserError(
            f"option data.folds is {folds}, but only {len(groups)} labeled "
            f"image{'s' * (len(groups) != 1)} can be held out (those of equal content count once); "
            "give fewer folds, or label more images"
        )
    shows = np.stack([presence[places].sum(0) for places in groups])
    sizes = [len(places) for places in groups]
    quota = len(digests) // folds + (np.arange(folds) < len(digests) % folds)
    held = np.zeros((folds, presence.shape[1]), int)
    filled = np.zeros(folds, int)
    chosen = np.full(len(groups), -1)
    while (chosen < 0).any():
        left = chosen < 0
        counts = shows[left].sum(0)
        shown = np.flatnonzero(counts)  # none where only images without classes are left
        rarest = shown[[np.argmin(counts[shown])]] if len(shown) else shown
        members = left & (shows[:, rarest] > 0).all(1)
        for group in np.flatnonzero(members):
            room = filled + sizes[group] <= quota
            fold = np.lexsort((filled, held[:, rarest].sum(1), ~room))[0]
            chosen[group] = fold
            filled[fold] += sizes[group]
            held[fold] += shows[group]
    numbers = {
        place: int(n) + 1 for places, n in zip(groups, chosen, strict=True) for place in places
    }
    return [numbers[place] for place in range(len(digests))]
