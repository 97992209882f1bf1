"""Reads a data set and collects everything that will go wrong."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from ssseg.data.datasets.base import Source
from ssseg.data.datasets.folder import Folder
from ssseg.datacheck.dataset import Plan, Sets, open_sets
from ssseg.datacheck.findings import Finding
from ssseg.datacheck.fix import check_out, write_copy
from ssseg.datacheck.scan import read_all
from ssseg.datacheck.summary import Document, conclusion, document_of, sees_unlabeled
from ssseg.errors import UserError, one_of
from ssseg.methods import METHODS, method_class

VAL_BATCH = 8
"""Validation images that are read at once, unless --data.val_batch_size says otherwise."""


def check_data(
    make: partial[Source], plan: Plan, out: Path | None = None, *, bar: bool = False
) -> Document:
    """The report of a data set, and a corrected copy where one is wanted.

    Args:
        make: The data set, not opened yet.
        plan: What is to be trained.
        out: A new folder for the copy.
        bar: Show progress on a terminal.

    Raises:
        UserError: For options that do not fit.
    """
    _check(plan)
    sets = open_sets(make, plan)
    if isinstance(sets, Finding):
        empty: Document = {"data": None, "sets": {}, "classes": []}
        return {**empty, "proposal": None, "estimate": None, **conclusion([sets])}
    if out is not None:
        check_out(sets.source, out)
    seen = read_all(sets, bar)
    report = document_of(sets, seen, plan)
    report["estimate"]["memory"] = _memory(sets, plan, report)
    if out is not None:
        done = write_copy(sets, seen, out)
        again = plan._replace(labeled="all", select="random")
        layout: Callable[..., Source] = Folder
        copy = check_data(partial(layout, root=str(out)), again, bar=bar)
        report["fix"] = {"folder": str(out), "done": done, "report": copy}
    return report


def _check(plan: Plan) -> None:
    """Refuse options before time is spent on reading."""
    for name in ("max_steps", "batch_size"):
        value = getattr(plan, name)
        if value is not None and value < 1:
            raise UserError(f"option {name} is {value}; expected at least 1")
    if plan.method is not None and plan.method not in METHODS:
        method_class(plan.method)
    if plan.network is not None:
        from ssseg.models import NETWORKS

        if plan.network not in NETWORKS:
            raise one_of("network", plan.network, list(NETWORKS))


def _memory(sets: Sets, plan: Plan, report: Document) -> dict[str, Any] | None:
    """What a step with the proposed crop and the validation take; None if not to be counted."""
    if report["proposal"] is None or not sets.source.classes:
        return None
    from ssseg.evaluation.inference import Inference
    from ssseg.models import NETWORKS
    from ssseg.training.memory import memory_of_step, memory_of_validation

    crop = report["proposal"]["crop_size"]
    network = dict(NETWORKS.get(plan.network or sets.source.network, {}))
    if plan.method is not None and plan.network is None:
        decoder = method_class(plan.method).decoder
        network |= {} if decoder is None else {"decoder": decoder}
    unlabeled = sees_unlabeled(plan.method)
    both = unlabeled and sets.records["unlabeled"]
    images = report["estimate"]["batch_size"] * (2 if both else 1)
    kind = {"num_classes": sets.source.num_classes, "in_channels": sets.source.in_channels}
    largest, validation = report["sets"]["val"]["largest"], None
    try:
        memory = memory_of_step(network, crop, images=images, teacher=unlabeled, **kind)
        if largest is not None:
            batch = min(VAL_BATCH, report["sets"]["val"]["readable"])
            at_once = min(batch, Inference().images_at_once(largest))
            held = memory_of_validation(network, largest, images=at_once, batch=batch, **kind)
            held += memory.weights
            validation = {"bytes": held, "size": largest, "images": at_once}
    except Exception:  # an encoder may compute with values, which the meta device does not have
        return None
    return {
        "bytes": memory.total,
        **memory._asdict(),
        "crop_size": crop,
        "images": images,
        "teacher": unlabeled,
        "validation": validation,
    }
