"""The verdict on a run that was trained beside another one: is it better, and by how much?"""

import json
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from ssseg.runs.atomic_write import atomic_write

VERDICT = "verdict.json"
SUPERVISED = "supervised"
TOO_FEW = 10
"""Validation images below which no difference is told from 0."""
FEW = 30
"""Validation images below which it is said how uncertain a score on them is."""


@dataclass(frozen=True)
class Verdict:
    """The difference between two runs at their last steps, on the same validation images.

    `str(verdict)` says it, and what to try if unlabeled images did not help.
    """

    method: str
    versus: str
    network: str
    """The network that the method predicts with, e.g. `teacher`."""
    versus_network: str
    miou: float
    """Of the method, in percent."""
    versus_miou: float
    """In percent."""
    difference: float
    """`miou` - `versus_miou`, in points."""
    interval: tuple[float, float]
    """Of 95 % for the difference, over the choice of validation images; in points."""
    uncertainty: float
    """Half of the interval of 95 % for `miou`, in points."""
    images: int
    """Validation images that both runs are scored on."""
    seed: int
    steps: int
    versus_steps: int
    folder: str
    versus_folder: str
    advice: tuple[str, ...] = ()
    """What to try; empty if the method is better."""
    folds: int | None = None
    """Of a cross-validation, whose runs score all labeled images; None: one run each."""

    @property
    def helped(self) -> bool | None:
        """Whether the method is better (True) or worse (False); None if it cannot be told."""
        low, high = self.interval
        if self.images < TOO_FEW or low <= 0 <= high:
            return None
        return low > 0

    def __str__(self) -> str:
        low, high = self.interval
        said = (
            f"{self._finding()}: {self.method} reaches {self.miou:.1f} mIoU ({self.network}), "
            f"{self.versus} {self.versus_miou:.1f} ({self.versus_network}), a difference of "
            f"{self.difference:+.1f} points (95 % interval {low:+.1f} to {high:+.1f}) on "
            f"{self._measured()}, with one seed"
        )
        if self.steps != self.versus_steps:
            said += f", after {self.steps} and {self.versus_steps} steps"
        tries = f"To try: {'; '.join(self.advice)}." if self.advice else ""
        return " ".join(part for part in (f"{said}.", self._doubt(), tries) if part)

    def _finding(self) -> str:
        if self.versus == SUPERVISED:
            whether = "the unlabeled images helped"
            found = {
                True: "The unlabeled images helped",
                False: "The unlabeled images did not help",
            }
        else:
            whether = f"{self.method} is better than {self.versus}"
            found = {True: whether, False: f"{self.method} is worse than {self.versus}"}
        if self.helped is None:
            return f"It cannot be told whether {whether}"
        return found[self.helped]

    def _measured(self) -> str:
        if self.folds is None:
            return _images(self.images)
        return f"{self.images} labeled images, each held out in one of {self.folds} folds"

    def _doubt(self) -> str:
        if self.images >= FEW:
            return ""
        points = max(1, round(self.uncertainty))
        doubt = f"is uncertain by about {points} point{'s' * (points != 1)}"
        said = f"A score on {_images(self.images, self.folds is None)} {doubt}"
        if self.images < TOO_FEW:
            return f"{said}, and on fewer than {TOO_FEW} no difference can be told from 0."
        return f"{said}."


def _images(count: int, validation: bool = True) -> str:
    return f"{count} {'validation ' * validation}image{'s' * (count != 1)}"


def write_verdict(folder: Path, verdict: Verdict) -> None:
    """Keep a verdict in the folder of the method's run, with its sentence."""
    content = {"text": str(verdict), "helped": verdict.helped, **asdict(verdict)}
    with atomic_write(folder / VERDICT) as draft:
        draft.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def read_verdict(folder: Path) -> Verdict | None:
    """The verdict in the folder of a run; None where there is none that can be read."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        content = json.loads((folder / VERDICT).read_text(encoding="utf-8"))
        values = {f.name: content[f.name] for f in fields(Verdict) if f.name in content}
        values["interval"], values["advice"] = tuple(values["interval"]), tuple(values["advice"])
        return Verdict(**values)
    return None
