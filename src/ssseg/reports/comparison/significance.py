"""Differences between runs of the same seed, a t-test of them, and the rule for bold print."""

from collections.abc import Mapping, Sequence
from statistics import mean, stdev
from typing import NamedTuple

LEAST = 3
"""The smallest number of common seeds for a test and for bold print."""
BySeed = Mapping[int, float]
"""Percent."""


class Gain(NamedTuple):
    """Differences of the runs of the same seed, in points, and what a paired t-test says."""

    differences: BySeed
    p: float | None
    """Two-sided; None below `LEAST` pairs, or if all differences are one number."""


def paired(ours: BySeed, theirs: BySeed) -> Gain:
    """A gain over the seeds that both have."""
    differences = {seed: ours[seed] - theirs[seed] for seed in ours if seed in theirs}
    values = list(differences.values())
    p = None
    if len(values) >= LEAST and stdev(values) > 1e-9:
        from scipy.stats import ttest_rel

        seeds = list(differences)
        p = float(ttest_rel([ours[s] for s in seeds], [theirs[s] for s in seeds]).pvalue)
    return Gain(differences, p)


def outstanding(column: Sequence[BySeed]) -> int | None:
    """The index of the best row of a column, if it is better by more than the spread over seeds.

    The rule: against every other row, the mean difference of runs of the same seed is larger than
    the standard deviation of these differences, over at least `LEAST` seeds in common.
    """
    rows = [place for place, values in enumerate(column) if values]
    if len(rows) < 2:
        return None
    top = max(rows, key=lambda place: mean(column[place].values()))
    for other in rows:
        if other == top:
            continue
        values = list(paired(column[top], column[other]).differences.values())
        if len(values) < LEAST or not mean(values) > stdev(values):
            return None
    return top
