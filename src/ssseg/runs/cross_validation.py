"""The scores of a cross-validation: every labeled image by a run that did not learn from it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean, stdev

from ssseg.runs.atomic_write import atomic_write
from ssseg.runs.verdict import Verdict

FOLDS = "folds.json"


@dataclass(frozen=True)
class FoldScores:
    """The mIoU of a method at the last steps of its runs, in percent."""

    network: str
    """The network that the method predicts with, e.g. `teacher`."""
    folds: tuple[float, ...]
    """Of the held-out images of each fold."""
    pooled: float
    """Of all labeled images: the pixels of all folds are counted together."""
    interval: tuple[float, float]
    """Of 95 % for `pooled`, over the choice of images."""

    @property
    def mean(self) -> float:
        """Over the folds."""
        return mean(self.folds)

    @property
    def std(self) -> float:
        """Standard deviation over the folds."""
        return stdev(self.folds)


@dataclass(frozen=True)
class CrossValidation:
    """A run per fold and method, and their scores; `str` gives the table."""

    folder: Path
    """That holds the folders of the runs."""
    images: tuple[int, ...]
    """Held-out images of each fold."""
    scores: Mapping[str, FoldScores]
    """By method, the one that was asked for first."""
    verdict: Verdict | None = None
    """The comparison with the method `versus`; None without one."""

    @property
    def sentence(self) -> str:
        """What is known of the labeled images as a whole."""
        several = [
            f"{method} {one.pooled:.1f} mIoU ({one.network}; 95 % interval {one.interval[0]:.1f} "
            f"to {one.interval[1]:.1f})"
            for method, one in self.scores.items()
        ]
        return (
            f"{', '.join(several)} on {sum(self.images)} labeled images, each scored by a run that "
            "did not learn from it"
        )

    def __str__(self) -> str:
        several = list(self.scores.values())
        rows = [["fold", "images", *self.scores]]
        for number, images in enumerate(self.images):
            scores = [f"{one.folds[number]:.1f}" for one in several]
            rows.append([str(number + 1), str(images), *scores])
        rows.append(["mean", "", *(f"{one.mean:.1f} ± {one.std:.1f}" for one in several)])
        rows.append(["pooled", str(sum(self.images)), *(f"{one.pooled:.1f}" for one in several)])
        return _table(rows)


def _table(rows: Sequence[Sequence[str]]) -> str:
    """Rows as lines; the first column begins at the left, the others end at the right."""
    first, *others = ([len(cell) for cell in column] for column in zip(*rows, strict=True))
    widths = [max(column) for column in others]
    return "\n".join(
        name.ljust(max(first)) + "".join(f"  {c:>{w}}" for c, w in zip(cells, widths, strict=True))
        for name, *cells in rows
    )


def write_scores(found: CrossValidation) -> Path:
    """Keep the scores in the folder of the runs; returns the path of the file."""
    path = found.folder / FOLDS
    methods = {
        method: {**asdict(one), "mean": one.mean, "std": one.std}
        for method, one in found.scores.items()
    }
    content = {"text": found.sentence, "images": found.images, "methods": methods}
    with atomic_write(path) as draft:
        draft.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return path
