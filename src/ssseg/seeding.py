"""Every random choice is a function of (seed, stream, step, rank, slot): here is the function."""

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
    # a new one goes to the end: the place of a name is what it stands for
    "geometry",
    "weak",
    "strong",
)


def seed_of(seed: int, stream: str, *place: int) -> int:
    """A 63-bit seed for one place of one stream; places next to each other have unrelated seeds.

    Args:
        seed: Of the run.
        stream: One of `STREAMS`: what is being decided.
        place: Step, rank, slot: where.
    """
    words = np.random.SeedSequence([seed, STREAMS.index(stream), *place]).generate_state(2)
    return (int(words[0]) << 31) ^ int(words[1])


def run_seed() -> int:
    """The seed of this run: what `seed_everything` was called with, else 0."""
    return int(os.environ.get("PL_GLOBAL_SEED", "0"))
