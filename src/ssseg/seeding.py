"""Seeds: every random choice is a function of (seed, stream, step, rank, slot)."""

import os
from typing import Final

import numpy as np

STREAMS: Final = (
    "labeled",
    "unlabeled",
    "labeled order",
    "unlabeled order",
    "split",
    "mix",
    "net",
    # add new names at the end only, because the seed depends on the index
    "geometry",
    "weak",
    "strong",
)


def seed_of(seed: int, stream: str, *place: int) -> int:
    """A 63-bit seed; seeds of neighbouring steps, ranks and slots are statistically independent.

    Args:
        seed: Seed of the run.
        stream: One of `STREAMS`, the kind of random choice.
        place: Step, rank and slot.
    """
    words = np.random.SeedSequence([seed, STREAMS.index(stream), *place]).generate_state(2)
    return (int(words[0]) << 31) ^ int(words[1])


def run_seed() -> int:
    """The seed of this run, as passed to `seed_everything`; 0 if it was not called."""
    return int(os.environ.get("PL_GLOBAL_SEED", "0"))
