"""What is compared: methods and seeds over one set of options."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from ssseg.errors import UserError, one_of
from ssseg.methods import METHODS


class Planned(NamedTuple):
    """One run: an `ssseg fit` command line and the folder that it fills."""

    method: str
    seed: int
    folder: Path
    args: list[str]

    @property
    def name(self) -> str:
        """For people: method and seed."""
        return f"{self.method} seed {self.seed}"


def plan(
    methods: Sequence[str], seeds: Sequence[int], out: Path, options: Sequence[str]
) -> list[Planned]:
    """Every method with every seed; all else equal.

    Args:
        methods: Names of methods (or dotted paths).
        seeds: Of the runs; the choice of labeled images does not depend on them.
        out: Folder of the study; each run gets a folder inside.
        options: Further options of `ssseg fit`, the same for all runs. An option of one method
            (`--complexmix.blocks`) goes to that method alone.

    Raises:
        UserError: For an unknown method, or no method or seed at all.
    """
    for method in methods:
        if method not in METHODS and "." not in method:
            raise one_of("method", method, list(METHODS))
    if not methods or not seeds:
        raise UserError("a benchmark needs at least one method and one seed")
    runs = []
    for seed in seeds:
        for method in methods:
            folder = out / f"{method}-seed{seed}"
            args = ["fit", "--method", method, "--seed_everything", str(seed), "--out", str(folder)]
            runs.append(Planned(method, seed, folder, args + _options_for(method, options)))
    return runs


def _options_for(method: str, options: Sequence[str]) -> list[str]:
    """The shared options and this method's own, which start with its name."""
    out: list[str] = []
    mine = True
    for word in options:
        if word.startswith("--"):
            head, dot, rest = word[2:].partition(".")
            own = bool(dot) and head in METHODS
            mine = not own or head == method
            word = f"--method.{rest}" if own else word
        if mine:
            out.append(word)
    return out
