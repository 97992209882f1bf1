"""The same validation images through every method, from the run folders."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ssseg.benchmarking.report.compare import Arm, Section

IMAGES = 4
SIDE = 256
"""Longest side of a picture on the page, in pixels."""


class Samples(NamedTuple):
    """Pictures of some images, (H, W, 3) uint8."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    """By image, then by column; None where there is none."""
    without: Sequence[str]
    """Rows of the table that have no such pictures, or of other images."""


def samples(section: Section) -> Samples | None:
    """Input, truth, and what each row's first seed predicts; None where no run kept pictures."""
    first = next((arm for arm in section.arms if _tile(arm, "truth", 0).is_file()), None)
    if first is None:
        return None
    shown = [arm for arm in section.arms if _same(arm, first)]
    without = [arm.label for arm in section.arms if arm not in shown]
    numbers = [n for n in range(IMAGES) if _tile(first, "truth", n).is_file()]
    sources = [(first, "input"), (first, "truth"), *((arm, arm.predictor) for arm in shown)]
    rows = [[_read(_tile(arm, name, n)) for arm, name in sources] for n in numbers]
    return Samples(["input", "truth", *(arm.label for arm in shown)], rows, without)


def _tile(arm: Arm, name: str, number: int) -> Path:
    return arm.entries[0].folder / "samples" / "tiles" / f"{name}_{number}.png"


def _same(arm: Arm, other: Arm) -> bool:
    """Whether two runs were asked the same images: their truth is the same, pixel by pixel."""
    for number in range(IMAGES):
        mine, theirs = _read(_tile(arm, "truth", number)), _read(_tile(other, "truth", number))
        if (mine is None) != (theirs is None):
            return False
        if mine is not None and (mine.shape != theirs.shape or (mine != theirs).any()):
            return False
    return True


def _read(path: Path) -> Any:
    import numpy as np
    from PIL import Image

    if not path.is_file():
        return None
    with Image.open(path) as image:
        factor = min(1.0, SIDE / max(image.size))
        size = [max(1, round(side * factor)) for side in image.size]
        photo = path.name.startswith("input")
        how = Image.Resampling.BOX if photo else Image.Resampling.NEAREST
        return np.asarray(image.convert("RGB").resize((size[0], size[1]), how))
