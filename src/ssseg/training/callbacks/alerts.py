"""Alerts: failures of semi-supervised training, reported while the run can still be stopped."""

import sys
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from pytorch_lightning import Callback, LightningModule, Trainer

from ssseg.errors import UserError
from ssseg.evaluation.pseudo_labels import to_floats
from ssseg.runs.run import Run
from ssseg.training.logged_steps import logged_at
from ssseg.training.module import SegmentationModule

READINGS = 10
"""Number of consecutive readings that must agree before an alert is raised."""
NOTHING, EVERYTHING = 0.001, 0.999
"""Shares of trusted pseudo-labels that count as none and as all."""
COLLAPSED, COMMON = 0.95, 0.8
"""The share of one class in the pseudo-labels that is a collapse, unless labeled images have nearly
as much of it."""


class Alert(NamedTuple):
    """One failure."""

    step: int
    """Optimiser steps done when it was noticed."""
    kind: str
    """`nothing labeled`, `nothing trusted`, `everything trusted`, `collapse` or `not helping`."""
    text: str
    """What was seen, and what may help."""

    def __str__(self) -> str:
        return f"step {self.step}: {self.kind}: {self.text}"


class AlertRules:
    """Raises alerts by readings and validations; every kind of alert is raised once.

    Args:
        threshold: Of the method; None where it has none.
        labeled: The share of each class in the labeled pixels, by name; empty where unknown.
        reference: mIoU of a supervised run by step.
        steps: Of the whole run.
    """

    def __init__(
        self,
        threshold: float | None = None,
        labeled: Mapping[str, float] | None = None,
        reference: Mapping[int, float] | None = None,
        steps: int = 0,
    ) -> None:
        self.threshold, self.labeled = threshold, dict(labeled or {})
        self.reference, self.steps = dict(reference or {}), steps
        self.readings: deque[dict[str, float]] = deque(maxlen=READINGS)
        self.bare: list[int] = []
        """Steps of the latest consecutive readings without a labeled pixel."""
        self.raised: list[Alert] = []

    def read(self, step: int, reading: Mapping[str, float]) -> list[Alert]:
        """New alerts after one more reading.

        Args:
            step: Optimiser steps done.
            reading: As `pseudo_label_metrics` names its values, `train/trusted`, and the
                losses.
        """
        found = self._labels(step, reading)
        if "train/largest_class" not in reading:
            return self._new(step, found)
        self.readings.append({"step": step, **reading})
        if len(self.readings) < READINGS:
            return self._new(step, found)
        since = f"since step {int(self.readings[0]['step'])}"
        return self._new(step, {**found, **self._trust(since), **self._collapse(since)})

    def _labels(self, step: int, reading: Mapping[str, float]) -> dict[str, str]:
        supervised = [value for name, value in reading.items() if name.startswith("loss/sup")]
        # only where every pixel is ignored is a loss exactly 0
        if not supervised or any(supervised):
            self.bare.clear()
            return {}
        self.bare.append(step)
        if len(self.bare) < READINGS:
            return {}
        return {
            "nothing labeled": f"since step {self.bare[0]} the supervised loss is 0: no crop "
            "of a labeled image shows a labeled pixel; give larger crops (--data.crop_size), or "
            "label more of the images"
        }

    def _trust(self, since: str) -> dict[str, str]:
        trusted = [reading.get("train/trusted", 0.5) for reading in self.readings]
        asked = f" (--method.threshold, now {self.threshold:g})" if self.threshold else ""
        if max(trusted) < NOTHING:
            return {
                "nothing trusted": f"{since} fewer than {NOTHING:.1%} of the pseudo-labels are "
                "trusted, so that unlabeled images have almost no effect; train longer before they "
                f"count (--method.warmup_steps), or lower the threshold{asked}"
            }
        if min(trusted) > EVERYTHING and self.threshold:
            return {
                "everything trusted": f"{since} more than {EVERYTHING:.1%} of the pseudo-labels "
                "are trusted, wrong ones included: the threshold has no effect; raise it"
                f"{asked}, or check the labels and classes of the data"
            }
        return {}

    def _collapse(self, since: str) -> dict[str, str]:
        least = min(reading["train/largest_class"] for reading in self.readings)
        if least < COLLAPSED:
            return {}
        newest = self.readings[-1]
        shares = {
            name.removeprefix("pseudo_share/"): value
            for name, value in newest.items()
            if name.startswith("pseudo_share/")
        }
        top = max(shares, key=shares.__getitem__, default="one class")
        usual = self.labeled.get(top)
        if usual is not None and usual >= COMMON:
            return {}
        beside = "" if usual is None else f", which has {usual:.0%} of the labeled pixels"
        return {
            "collapse": f"{since} {least:.0%} or more of the pseudo-labels are {top!r}{beside}: "
            "the network is about to predict one class everywhere; train longer before unlabeled "
            "images count (--method.warmup_steps), or lower their weight (--method.weight)"
        }

    def score(self, step: int, miou: float) -> list[Alert]:
        """New alerts after a validation; asked from half of the run on.

        Args:
            step: Optimiser steps done.
            miou: Of the network that the method predicts with, in [0, 1].
        """
        other = self.reference.get(step)
        if other is None or 2 * step < self.steps or miou >= other:
            return []
        return self._new(step, {
            "not helping": f"mIoU is {100 * miou:.1f}, that of the supervised reference "
            f"{100 * other:.1f} at the same step; so far the unlabeled images do not help"
        })  # fmt: skip

    def _new(self, step: int, found: Mapping[str, str]) -> list[Alert]:
        known = {alert.kind for alert in self.raised}
        new = [Alert(step, kind, text) for kind, text in found.items() if kind not in known]
        self.raised += new
        return new


class TrainingAlerts(Callback):
    """Checks the numbers whenever they are logged, and prints alerts.

    `watch.reference` may be given the `history_of` a supervised run to compare with.
    """

    def __init__(self) -> None:
        self.watch = AlertRules()
        self.looked = 0

    @property
    def raised(self) -> Sequence[Alert]:
        """All of this run so far, also those before an interruption."""
        return self.watch.raised

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        """Take threshold, length and class shares of this run."""
        assert isinstance(module, SegmentationModule)
        watch = self.watch
        watch.threshold = getattr(module.method, "threshold", None)
        watch.steps = trainer.max_steps
        pixels, names = module.classes
        if pixels is not None:
            whole = max(1, sum(pixels))
            watch.labeled = {n: p / whole for n, p in zip(names, pixels, strict=True)}

    def on_train_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Check once per logged step: logging waits for the device anyway."""
        step = trainer.global_step
        if logged_at(trainer, step) and step != self.looked:
            self.looked = step
            self._say(trainer, self.watch.read(step, to_floats(trainer.callback_metrics)))

    def on_validation_end(self, trainer: Trainer, module: LightningModule) -> None:
        """Compare with the reference."""
        assert isinstance(module, SegmentationModule)
        if trainer.state.fn == "fit" and module.scores and not trainer.sanity_checking:
            miou = module.scores[module.method.predictor].miou
            self._say(trainer, self.watch.score(trainer.global_step, miou))

    def _say(self, trainer: Trainer, new: Sequence[Alert]) -> None:
        for alert in new if trainer.is_global_zero else ():
            print(f"alert      {alert}", file=sys.stderr)

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run goes on from."""
        return {
            "raised": [tuple(alert) for alert in self.raised],
            "readings": list(self.watch.readings),
            "looked": self.looked,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from an interrupted run."""
        self.watch.raised = [Alert(*parts) for parts in state_dict["raised"]]
        self.watch.readings.extend(state_dict["readings"])
        self.looked = state_dict["looked"]


def history_of(reference: Run, split_hash: str) -> dict[int, float]:
    """The mIoU of a run by step, of the network that it predicts with.

    Args:
        reference: A finished run.
        split_hash: Of the labeled images that it must have been trained with.

    Raises:
        UserError: If it is not finished, has no scores, or saw other labeled images.
    """
    summary = reference.summary
    theirs = summary["data"]["split_hash"]
    if split_hash != theirs:
        raise UserError(
            f"option reference: {reference.folder} was trained with other labeled images (split "
            f"hash {theirs}, here {split_hash}); give a run of the same split"
        )
    history = {int(row["step"]): row[summary["predictor"]] for row in reference.history}
    if not history:
        raise UserError(f"option reference: {reference.folder} has no scores to compare with")
    return history
