"""Guided collaborative training (GCT): two networks, and a detector of their flaws.

Ke, Qiu, Li, Yan & Lau, "Guided collaborative training for pixel-wise semi-supervised learning",
ECCV 2020.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from ssseg.losses import gaussian_rampup, weighted_mean
from ssseg.methods.base import Method
from ssseg.methods.cps import Pair
from ssseg.models.critics import without_gradient
from ssseg.models.ema import labeling
from ssseg.models.flaw_detector import FlawDetector
from ssseg.models.segmenter import Segmenter
from ssseg.ops.flaws import cleaned, flaw_truth
from ssseg.types import IGNORE, Batch, Picture, Pseudo, Step, StepOutput


def what_is_seen(image: Tensor, probs: Tensor, counted: Tensor) -> Tensor:
    """The input of the detector: image and probabilities, 0 at pixels that do not count."""
    return torch.cat((image, probs), 1) * counted[:, None]


def from_less_flawed(probs: Pair, flaws: Pair, threshold: float) -> Pair:
    """What each network should predict, (B, C, H, W): at each pixel, the less flawed prediction.

    Flaws above the threshold are all alike. Where both are alike, it is the network's own
    prediction. No gradient.

    Args:
        probs: (B, C, H, W) float, predictions.
        flaws: (B, H, W) float in [0, 1], their flaws.
        threshold: Flaw above which a prediction is wrong.
    """
    ours, theirs = (probs.student.detach(), probs.peer.detach())
    flaw, other = (torch.where(f > threshold, 1.0, f)[:, None] for f in flaws)
    return Pair(torch.where(other < flaw, theirs, ours), torch.where(flaw < other, ours, theirs))


@dataclass(eq=False, repr=False)
class GCT(Method):
    """Two networks; each learns from the other where a detector says that the other errs less.

    Terms: `sup` and `sup_peer` on labels; `sup_flaw`, which trains the detector to find where the
    predictions of both differ from the labels; `dc`, the squared difference of each network to the
    less flawed prediction; `fc`, the detected flaw where both are wrong, which is to become 0.
    `dc` and `fc` are one mean over the pixels of all images; the part of labeled images is `sup_dc`
    and `sup_fc`.

    Args:
        weight: Of `dc`, whose squared error is a mean over the classes.
        flaw_weight: Of `fc`.
        detector_weight: Of `sup_flaw`.
        threshold: Detected flaw above which a prediction is wrong.
        warmup_steps: Steps before `dc` and `fc` start, part of all steps; a value below 1 is a
            share of the run. The code starts from pretrained encoders and has none.
        rampup_steps: Steps after the warm-up over which the weight of `dc` grows; below 1 a share
            of the run. Published: 3 epochs on VOC.
    """

    num_views: ClassVar[int] = 1
    parts: ClassVar[Mapping[str, float]] = {"flaw": 0.1}

    weight: float = 100.0
    flaw_weight: float = 1.0
    detector_weight: float = 10.0
    threshold: float = 0.6
    warmup_steps: float = 0.3
    rampup_steps: float = 0.1

    def setup(self, model: Segmenter) -> None:
        """Set the student; add its peer, with another decoder, and the detector."""
        super().setup(model)
        self.peer = model.new()
        self.flaw = FlawDetector(model.num_classes + model.in_channels)

    @property
    def networks(self) -> Mapping[str, nn.Module]:
        """Both networks; the student predicts."""
        return {"peer": self.peer, "student": self.student}

    def losses(self, batch: Batch, step: Step) -> StepOutput:
        """The supervised terms and, after the warm-up, those of the detected flaws."""
        (image, label), unlabeled, count = batch.labeled, batch.unlabeled, len(batch.labeled.image)
        both, devices = torch.cat((image, unlabeled.views[0])), step.devices
        logits, known = Pair(self.student(both), self.peer(both)), label != IGNORE
        probs = Pair(*(one.softmax(1) for one in logits))
        terms = {
            "sup": self.labeled_loss(logits.student[:count], label, step),
            "sup_peer": self.labeled_loss(logits.peer[:count], label, step),
            "sup_flaw": self.detector_weight * self._detector(probs.split(count)[0], batch, step),
        }
        since = step.index - step.length(self.warmup_steps)
        if since < 0:
            return StepOutput(terms)
        counted = torch.cat((known, unlabeled.valid))
        seen = (what_is_seen(both, one, counted) for one in probs)
        found = Pair(*(without_gradient(self.flaw, one) for one in seen))
        flaws = Pair(*(cleaned(one, counted) for one in found))
        targets = from_less_flawed(probs, flaws, self.threshold)
        wrong = (flaws.student > self.threshold) & (flaws.peer > self.threshold)
        squares = (torch.stack(probs) - torch.stack(targets)).square().mean(2)
        ramp = gaussian_rampup(since, step.length(self.rampup_steps))
        errors = {
            "dc": self.weight * ramp * squares.sum(0),
            "fc": self.flaw_weight * wrong * torch.stack(found).square().sum(0),
        }
        scale = 1 / devices.denominator(counted.sum())
        for name, error in errors.items():
            kept = scale * error.masked_fill(~counted, 0)
            terms |= {name: kept[count:].sum(), f"sup_{name}": kept[:count].sum()}
        said, trusted = targets.student[count:], (~wrong[count:]).to(both.dtype)
        valid, prediction = unlabeled.valid, logits.student[count:].detach()
        return StepOutput(terms, pseudo=Pseudo(said, trusted, valid, said, valid, prediction))

    def _detector(self, probs: Pair, batch: Batch, step: Step) -> Tensor:
        """Squared error of the detector on labeled images, the mean over both networks."""
        (image, label), known = batch.labeled, batch.labeled.label != IGNORE
        errors = []
        for one in (probs.student.detach(), probs.peer.detach()):
            found = self.flaw(what_is_seen(image, one, known))
            errors.append((found - flaw_truth(one, label)).square())
        mean = torch.stack(errors).mean(0)
        return weighted_mean(mean, torch.ones_like(mean), known, devices=step.devices)

    def pictures(self, batch: Batch, step: Step) -> list[Picture]:
        """Input, predictions of both networks, and their detected flaws."""
        if not batch.unlabeled.views:
            return []
        weak, valid = batch.unlabeled.views[0], batch.unlabeled.valid
        columns = [Picture("input", "image", weak)]
        with labeling(self):
            for name, network in (("student", self.student), ("peer", self.peer)):
                probs = network(weak).softmax(1)
                flaws = cleaned(self.flaw(what_is_seen(weak, probs, valid)), valid)
                columns.append(Picture(f"{name} prediction", "label", probs.argmax(1)))
                columns.append(Picture(f"{name} flaws", "mask", flaws))
        return columns
