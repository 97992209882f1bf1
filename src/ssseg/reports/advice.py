"""What to try where unlabeled images did not help, from the numbers of the runs themselves."""

from collections.abc import Mapping, Sequence
from statistics import mean
from typing import Any

from ssseg.runs.run import Run
from ssseg.runs.verdict import FEW

MOST = 2
"""Proposals that are made at most."""
LITTLE, MUCH = 0.1, 0.9
"""Shares of trusted pseudo-labels that count as few and as nearly all."""
ACCURATE = 0.8
"""Share of correct pixels from which nearly all pseudo-labels may be trusted."""
CEILING = 0.9
"""mIoU of supervised training that leaves little to gain."""
RISING = 0.01
"""Gain of mIoU in the last quarter of a run from which it is still rising."""
END = 0.75
"""Share of a run after which its end begins."""


def advice(run: Run, supervised: Run, images: int, *, worse: bool) -> tuple[str, ...]:
    """What to try, the most likely cause first; at most `MOST` proposals.

    Args:
        run: A method that was not better than supervised training.
        supervised: The supervised run beside it.
        images: Validation images that both are scored on.
        worse: Whether it was worse; else it cannot be told.
    """
    ours, theirs = run.summary, supervised.summary
    found = (
        _collapse(ours),
        _trust(ours, run.metrics),
        _passes(ours),
        _rising(ours),
        _ceiling(theirs),
        _few_unlabeled(ours),
    )
    causes = [text for text in found if text is not None]
    if worse:
        return tuple(causes[:MOST])
    return (*causes[: MOST - 1], more_certain(ours["method"]["name"], images))


def more_certain(method: str, images: int) -> str:
    """How to learn whether there is a difference."""
    if images < FEW:
        return f"score on more than {images} validation images (label more, or hold out more)"
    return (
        "train with more seeds, which average out what one run has by chance "
        f"(ssseg benchmark --methods {method} --seeds 3)"
    )


def _collapse(ours: Mapping[str, Any]) -> str | None:
    if not any(alert["kind"] == "collapse" for alert in ours["alerts"]):
        return None
    return (
        "nearly all pseudo-labels became one class: train longer before unlabeled images count"
        f"{_option(ours, 'warmup_steps')}, or lower their weight{_option(ours, 'weight')}"
    )


def _trust(ours: Mapping[str, Any], rows: Sequence[Mapping[str, float]]) -> str | None:
    trusted = _end_of(ours, rows, "train/trusted")
    if trusted is None:
        return None
    if trusted < LITTLE:
        return (
            f"{100 * trusted:.0f} % of the pseudo-labels were trusted at the end: train longer, or "
            f"lower the threshold{_option(ours, 'threshold')}"
        )
    right = _end_of(ours, rows, "train/pseudo_accuracy")
    whose = "of them"
    if right is None:
        right, whose = _score(ours, "pixel_accuracy"), "of the validation pixels"
    if trusted <= MUCH or right >= ACCURATE or "threshold" not in ours["method"]:
        return None
    return (
        f"{100 * trusted:.0f} % of the pseudo-labels were trusted at the end, but only "
        f"{100 * right:.0f} % {whose} are right: raise the threshold{_option(ours, 'threshold')}"
    )


def _passes(ours: Mapping[str, Any]) -> str | None:
    passes = ours["exposures"].get("unlabeled")
    if passes is None or passes >= 1:
        return None
    steps = round(ours["steps"] / passes)
    return (
        f"each unlabeled image was seen {passes:.1f} times: one pass takes {steps} steps "
        f"(--trainer.max_steps {steps})"
    )


def _rising(ours: Mapping[str, Any]) -> str | None:
    name, steps = ours["predictor"], ours["steps"]
    earlier = [row[name] for row in ours["history"] if row["step"] <= END * steps]
    if not earlier or (gain := _score(ours, "miou") - earlier[-1]) < RISING:
        return None
    return (
        f"{ours['method']['name']} was still rising ({100 * gain:+.1f} points at the end): train "
        f"longer (--trainer.max_steps {2 * steps})"
    )


def _ceiling(theirs: Mapping[str, Any]) -> str | None:
    reached = _score(theirs, "miou")
    if reached < CEILING:
        return None
    return (
        f"the labels alone give {100 * reached:.0f} mIoU, which leaves little to gain: label fewer "
        "images, or score on harder ones"
    )


def _few_unlabeled(ours: Mapping[str, Any]) -> str | None:
    labeled, unlabeled = ours["data"]["labeled"], ours["data"]["unlabeled"]
    if unlabeled >= labeled:
        return None
    return f"there are {unlabeled} unlabeled images beside {labeled} labeled ones: add some"


def _score(summary: Mapping[str, Any], name: str) -> float:
    return float(summary["last"][summary["predictor"]][name])


def _end_of(
    summary: Mapping[str, Any], rows: Sequence[Mapping[str, float]], column: str
) -> float | None:
    """The mean of a column of metrics.csv over the end of the run; None where it has none."""
    late = (row for row in rows if row["step"] >= END * summary["steps"])
    values = [row[column] for row in late if column in row]
    values = [value for value in values if value == value]  # not NaN
    return mean(values) if values else None


def _option(summary: Mapping[str, Any], name: str) -> str:
    """The option of a method and its value; empty where the method has no such option."""
    value = summary["method"].get(name)
    return "" if value is None else f" (--method.{name}, now {value:g})"
