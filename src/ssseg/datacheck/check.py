"""Reads a data set and reports its contents and its problems."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from ssseg.data.datasets.base import Source
from ssseg.data.datasets.folder import Folder
from ssseg.datacheck.dataset import Plan, Sets, open_sets
from ssseg.datacheck.findings import DoctorReport, Finding
from ssseg.datacheck.fix import check_out, write_copy
from ssseg.datacheck.scan import read_all
from ssseg.datacheck.summary import conclusion, make_report, uses_unlabeled
from ssseg.errors import UserError, one_of
from ssseg.methods import METHODS, method_class

VAL_BATCH = 8
"""Validation images per batch: the default of --data.val_batch_size."""


def check_data(
    make: partial[Source], plan: Plan, out: Path | None = None, *, bar: bool = False
) -> DoctorReport:
    """DoctorReport on a data set, and write a corrected copy if `out` is given.

    Args:
        make: Function that opens the data set.
        plan: Options of the planned training.
        out: A new folder for the corrected copy.
        bar: Show a progress bar on a terminal.

    Returns:
        The report as plain data, as `ssseg doctor --json` prints it.

    Raises:
        UserError: For options that do not fit the data set.
    """
    _check(plan)
    sets = open_sets(make, plan)
    if isinstance(sets, Finding):
        empty: DoctorReport = {"data": None, "sets": {}, "classes": []}
        return {**empty, "proposal": None, "estimate": None, **conclusion([sets])}
    if out is not None:
        check_out(sets.source, out)
    seen = read_all(sets, bar)
    report = make_report(sets, seen, plan)
    report["estimate"]["memory"] = _memory(sets, plan, report)
    if out is not None:
        done = write_copy(sets, seen, out)
        again = plan._replace(labeled="all", select="random")
        layout: Callable[..., Source] = Folder
        copy = check_data(partial(layout, root=str(out)), again, bar=bar)
        report["fix"] = {"folder": str(out), "done": done, "report": copy}
    return report


def _check(plan: Plan) -> None:
    """Check the options before the images are read."""
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


def _memory(sets: Sets, plan: Plan, report: DoctorReport) -> dict[str, Any] | None:
    """Memory of a step with the proposed crop and of the validation; None if not computable."""
    if report["proposal"] is None or not sets.source.classes:
        return None
    from ssseg.evaluation.inference import Inference
    from ssseg.models.networks import NETWORKS, network_for
    from ssseg.training.memory import memory_of_step, memory_of_validation

    crop = report["proposal"]["crop_size"]
    network = NETWORKS[plan.network or network_for(sets.source.network)] | {"weights": "random"}
    if plan.method is not None and plan.network is None:
        decoder = method_class(plan.method).decoder
        network |= {} if decoder is None else {"decoder": decoder}
    unlabeled = uses_unlabeled(plan.method)
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
    except Exception:  # an encoder may read values of tensors, which the meta device does not have
        return None
    return {
        "bytes": memory.total,
        **memory._asdict(),
        "crop_size": crop,
        "images": images,
        "teacher": unlabeled,
        "validation": validation,
    }
