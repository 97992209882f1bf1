"""s4GAN: a critic judges whole images; predictions that it takes for ground truth become labels.

Mittal, Tatarchenko & Brox, "Semi-supervised semantic segmentation with high- and low-level
consistency", TPAMI 2021. Written without the authors' code.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from ssseg.distributed import DistInfo
from ssseg.losses import trusted_from
from ssseg.methods.advsemiseg import columns_of, self_training
from ssseg.methods.base import Method
from ssseg.models.critics import ImageCritic, without_gradient
from ssseg.models.ema import labeling
from ssseg.models.segmenter import Segmenter
from ssseg.ops.decouple import one_hot
from ssseg.types import IGNORE, Batch, Picture, Step, StepOutput


def with_image(probs: Tensor, image: Tensor) -> Tensor:
    """What the critic sees: probabilities, and each image scaled to [0, 1] by its own values."""
    least, largest = image.amin((1, 2, 3), keepdim=True), image.amax((1, 2, 3), keepdim=True)
    return torch.cat((probs, (image - least) / (largest - least).clamp_min(1e-6)), 1)


def mean_image(values: Tensor, counted: Tensor, devices: DistInfo) -> Tensor:
    """The mean over the images of all devices that count, (...); 0 if there is none.

    Every device gets the same mean. Its gradient reaches this device's images, so that the mean of
    the gradients of all devices, which DDP makes, is that of one device with all images.

    Args:
        values: (B, ...) float.
        counted: (B,) bool.
        devices: Devices that share the batch.
    """
    own = (values * counted.view(-1, *[1] * (values.dim() - 1))).sum(0)
    total = devices.total(own.detach()) + devices.world_size * (own - own.detach())
    return total / devices.total(counted.sum()).clamp_min(1)


@dataclass(eq=False, repr=False)
class S4GAN(Method):
    """Predictions must have the features of ground truth; the most credible ones become labels.

    The critic sees an image and its map of classes. Terms: `sup`; `match`, by which the mean
    features of predictions on unlabeled images approach those of ground truth; `semi`, the
    cross-entropy against the student's own argmax on whole images that the critic takes for ground
    truth; `critic`, which trains the critic.

    Args:
        weight: Of `semi`.
        threshold: Probability of being ground truth from which an image is trusted. Paper: 0.6 on
            VOC and PASCAL-Context, 0.7 on Cityscapes.
        match_weight: Of `match`.
        warmup_steps: Steps before `semi` starts, part of all steps; a value below 1 is a share of
            the run. The code starts from pretrained encoders and has none. All other terms start
            at once.
    """

    num_views: ClassVar[int] = 1
    parts: ClassVar[Mapping[str, float]] = {"critic": 0.1}

    weight: float = 1.0
    threshold: float = 0.6
    match_weight: float = 0.1
    warmup_steps: float = 0.3

    def setup(self, model: Segmenter) -> None:
        """Set the student; add the critic."""
        super().setup(model)
        self.critic = ImageCritic(model.num_classes + model.in_channels)

    def losses(self, batch: Batch, step: Step) -> StepOutput:
        """All terms; `semi` after the warm-up."""
        (image, label), unlabeled, devices = batch.labeled, batch.unlabeled, step.devices
        weak, valid, known = unlabeled.views[0], unlabeled.valid, label != IGNORE
        ours, theirs = self.student(image), self.student(weak)
        probs = theirs.softmax(1)
        # pixels without a label would be known by their zeros; they get what is predicted there
        truth = torch.where(known[:, None], one_hot(label, ours), ours.detach().softmax(1))
        real = with_image(truth, image)
        fake = with_image(torch.where(valid[:, None], probs, probs.detach()), weak)

        features, verdict = without_gradient(self.critic, fake)
        seen, judged = self.critic(torch.cat((real, fake.detach())))
        labeled, unlabeled_too = known.flatten(1).any(1), valid.flatten(1).any(1)
        wanted = mean_image(seen[: len(real)].detach(), labeled, devices)
        found = mean_image(features, unlabeled_too, devices)
        present = wanted.any() & found.detach().any()
        errors = F.softplus(-judged[: len(real)]), F.softplus(judged[len(real) :])
        halves = (
            mean_image(errors[0], labeled, devices),
            mean_image(errors[1], unlabeled_too, devices),
        )
        terms = {
            "sup": self.labeled_loss(ours, label, step),
            "match": self.match_weight * present * (wanted - found).abs().mean(),
            "critic": 0.5 * (halves[0] + halves[1]),
        }
        trusted = trusted_from(verdict.detach().sigmoid(), self.threshold)
        trusted = trusted[:, None, None].expand(valid.shape)
        weight = self.weight if step.index >= step.length(self.warmup_steps) else None
        return self_training(terms, weight, theirs, trusted, valid, devices)

    def pictures(self, batch: Batch, step: Step) -> list[Picture]:
        """Input, the student's prediction, and whether the critic takes it for ground truth."""
        if not batch.unlabeled.views:
            return []
        weak, valid = batch.unlabeled.views[0], batch.unlabeled.valid
        with labeling(self):
            probs = self.student(weak).softmax(1)
            _, verdict = self.critic(with_image(probs, weak))
        credible = verdict.sigmoid()[:, None, None].expand(valid.shape)
        said = probs.argmax(1).where(valid, IGNORE)
        return columns_of(weak, said, credible, trusted_from(credible, self.threshold) * valid)
