"""The results of an evaluation as plain data: scores.json, and tables as CSV."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ssseg.data.datasets.base import Record, Split
from ssseg.data.module import SegmentationData
from ssseg.evaluation.inference import Inference
from ssseg.evaluation.metrics import Scores
from ssseg.reports.evaluation.images import Shown
from ssseg.runs.checkpoint import read_checkpoint
from ssseg.training.module import SegmentationModule


class EvaluationResults(NamedTuple):
    """Counts of the evaluation over all images."""

    split: Split
    images: int
    total: int
    """Images of the split, of which a trainer may have been told to take a part."""
    scores: Mapping[str, Scores]
    matrices: Mapping[str, list[list[int]]]
    """Counts per network, truth in rows."""


def protocol(
    module: SegmentationModule, data: SegmentationData, found: EvaluationResults
) -> list[str]:
    """Sentences that describe how the scores were computed."""
    infer = module.inference.within(data.crop_size)
    part = "" if found.images == found.total else f", a part of {found.total}"
    sentences = [
        f"Images: {found.images} of the {found.split} split of {data.source.name}{part}.",
        _network_sees(infer, data.image_size),
        _averages(infer),
        "Scores at the resolution of the masks as they are."
        if data.eval_masks == "original"
        else "Scores at the resolution of the resized images: the masks are resized too, as in "
        "older protocols.",
    ]
    if data.eval_crop is not None:
        sentences.append(
            f"Only the centre of {_size(data.eval_crop)} of each image counts, as in older "
            "protocols."
        )
    sentences += [
        "Pixels labeled 255 (ignore) count nowhere.",
        "All pixels of all images are counted in one confusion matrix; a class's IoU comes from "
        "these counts, and mIoU is the mean over classes.",
        *_absent(module, data, found),
    ]
    if module.metrics.boundary:
        sentences.append(
            "Boundary IoU counts only pixels within 2 % of the image's diagonal from a boundary of "
            "their class (Cheng et al., CVPR 2021)."
        )
    return [sentence for sentence in sentences if sentence]


def _size(sides: Sequence[int]) -> str:
    return f"{sides[0]} x {sides[1]} pixels (height x width)"


def _network_sees(infer: Inference, size: Sequence[int] | None) -> str:
    resized = f"resized to {_size(size)}" if size else "at their own size"
    if infer.mode == "whole":
        return f"The network sees whole images, {resized}."
    assert infer.window is not None
    down, right = infer.steps
    return (
        f"A window of {_size(infer.window)} slides over the images, {resized}, {down} pixels down "
        f"and {right} right at a time; where windows overlap, probabilities are averaged."
    )


def _averages(infer: Inference) -> str:
    parts = []
    if tuple(infer.scales) != (1.0,):
        factors = ", ".join(f"{scale:g}" for scale in infer.scales)
        parts.append(f"the image resized by {factors}")
    if infer.flip:
        parts.append("the image and its mirror image")
    return f"Probabilities are averaged over {', and over '.join(parts)}." if parts else ""


def _absent(
    module: SegmentationModule, data: SegmentationData, found: EvaluationResults
) -> Iterable[str]:
    names = [c.name for c in data.source.classes]
    missing = {
        network: [n for n, iou in zip(names, scores.iou, strict=True) if iou is None]
        for network, scores in found.scores.items()
    }
    if not any(missing.values()):
        yield "Every class occurs."
        return
    how = "is not in the mean"
    if module.missing_classes == "zero":
        how = "counts as 0 in the mean, as in older protocols"
    alike = len({tuple(absent) for absent in missing.values()}) == 1
    for network, absent in [("", next(iter(missing.values())))] if alike else missing.items():
        if absent:
            who = f" of the {network}" * bool(network)
            yield (
                f"What occurs neither in the truth nor in any prediction{who} {how}: "
                f"{', '.join(absent)}."
            )


def origin(checkpoint: Path, command: str) -> dict[str, Any]:
    """What a checkpoint says of its training, and how it was evaluated.

    Raises:
        UserError: For a file that is no checkpoint.
    """
    saved = read_checkpoint(checkpoint)
    ours = saved["ssseg"]
    known = ("name", "split", "split_hash")
    return {
        "step": saved["global_step"],
        "method": ours["method"]["class_path"].rpartition(".")[2],
        "training": None if ours["data"] is None else {k: ours["data"].get(k) for k in known},
        "command": command,
    }


def scores_csv(names: Sequence[str], found: EvaluationResults) -> str:
    """One row per network and class; shares in [0, 1], empty where there is none."""
    head = ["network", "class", "iou", "boundary_iou", "recall", "precision", "true_pixels"]
    rows: list[list[object]] = []
    for network, scores in found.scores.items():
        matrix = found.matrices[network]
        edges = scores.boundary_iou or [None] * len(names)
        for i, name in enumerate(names):
            hit, truth, guess = matrix[i][i], sum(matrix[i]), sum(row[i] for row in matrix)
            recall, precision = hit / truth if truth else None, hit / guess if guess else None
            rows.append([network, name, scores.iou[i], edges[i], recall, precision, truth])
    return _csv([head, *rows])


def confusion_csv(names: Sequence[str], found: EvaluationResults) -> str:
    """The confusion matrices: pixels of a true class (row) that a network took for each class."""
    rows = [
        [network, name, *row]
        for network, matrix in found.matrices.items()
        for name, row in zip(names, matrix, strict=True)
    ]
    return _csv([["network", "truth", *names], *rows])


def _csv(rows: Iterable[Iterable[object]]) -> str:
    file = io.StringIO()
    csv.writer(file, lineterminator="\n").writerows(rows)
    return file.getvalue()


def shown_as_dict(shown: Sequence[Shown], records: Sequence[Record]) -> list[dict[str, Any]]:
    """The images that the page shows, by id."""
    return [
        {"id": record.id, "miou": one.miou, "pixel_accuracy": one.pixel_accuracy}
        for one, record in zip(shown, records, strict=True)
    ]
