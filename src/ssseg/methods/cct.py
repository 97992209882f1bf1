"""Cross-consistency training (CCT): light decoders must predict the same from perturbed features.

Ouali, Hudelot & Tami, "Semi-supervised semantic segmentation with cross-consistency training",
CVPR 2020.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from ssseg.distributed import DistInfo
from ssseg.errors import UserError
from ssseg.losses import gaussian_rampup, pixel_squared_error, weighted_mean
from ssseg.methods.base import Method
from ssseg.models.auxiliary_decoder import AuxiliaryDecoder
from ssseg.models.ema import labeling
from ssseg.models.segmenter import Segmenter
from ssseg.ops.adversarial import adversarial_direction
from ssseg.ops.dropout import feature_dropout
from ssseg.ops.perturb import feature_drop, feature_noise, foreground_box
from ssseg.ops.random import Rng
from ssseg.ops.sampling import at_grid
from ssseg.types import IGNORE, Batch, Picture, Pseudo, Step, StepOutput

PERTURBATIONS = ("noise", "drop", "dropout", "object_mask", "context_mask", "cutout", "vat")
GUIDED = ("object_mask", "context_mask", "cutout")
"""Those that need to know what is foreground."""
TRIAL = 0.1
"""Norm of the random step of `vat`. The released code has 1e-6, which changes nothing in float32:
its direction is rounding noise."""
RADIUS = 2.0
"""Norm of the perturbation of `vat`, over all features of an image."""


def perturbed(
    kind: str, feats: Tensor, foreground: Tensor, decode: Callable[[Tensor], Tensor], rng: Rng
) -> Tensor:
    """Features (B, D, h, w) after one of `PERTURBATIONS`.

    Args:
        kind: Name of the perturbation.
        feats: (B, D, h, w) float.
        foreground: (B, h, w) bool, by the prediction of the main decoder.
        decode: The decoder that will read the result.
        rng: Source of randomness.
    """
    if kind == "noise":
        return feature_noise(feats, generator=rng)
    if kind == "drop":
        return feature_drop(feats, generator=rng)
    if kind == "dropout":
        return feature_dropout([feats, feats], 0.5, generator=rng)[1]
    if kind == "vat":
        away = adversarial_direction(decode, feats, TRIAL, generator=rng)
        return feats + (RADIUS * away).to(feats.dtype)
    removed = {
        "object_mask": lambda: foreground[:, None],
        "context_mask": lambda: ~foreground[:, None],
        "cutout": lambda: foreground_box(foreground, generator=rng),
    }[kind]()
    return feats.masked_fill(removed, 0)


def foreground_at(
    feats: Tensor, probs: Tensor, padded: tuple[int, int], background: int | None
) -> Tensor:
    """Where features lie on predicted foreground, (B, h, w) bool; nowhere on padding.

    Args:
        feats: (B, D, h, w) float.
        probs: (B, C, H, W) float.
        padded: Height and width that the features cover.
        background: Number of the background class; None: everything is foreground.
    """
    behind = -1 if background is None else background
    label = at_grid(probs.argmax(1), padded, (feats.shape[2], feats.shape[3]), behind)
    return label != behind


def disagreement(
    outputs: Sequence[Tensor], target: Tensor, valid: Tensor, devices: DistInfo
) -> Tensor:
    """Squared difference of softmax and target, mean over logits, classes and valid pixels.

    Args:
        outputs: Logits (B, C, H, W) of several decoders.
        target: (B, C, H, W) float, probabilities.
        valid: (B, H, W) bool.
        devices: Devices that share the batch.

    Returns:
        Scalar.
    """
    errors = torch.stack([pixel_squared_error(out, target, "mean") for out in outputs]).mean(0)
    return weighted_mean(errors, torch.ones_like(errors), valid, devices=devices)


@dataclass(eq=False, repr=False)
class CCT(Method):
    """Light decoders predict from perturbed features what the main decoder predicts from them.

    `unsup` is the mean over the auxiliary decoders of the squared difference of their softmax to
    the main decoder's on unlabeled images, which is a constant. It trains the encoder and the
    auxiliary decoders; labels train the encoder and the main decoder.

    Args:
        weight: Of `unsup`, whose squared error is a mean over the classes.
        noise: Decoders that read features times `1 + U(-0.3, 0.3)`. The paper has 6 of this kind.
        drop: Decoders whose most active positions are 0. Paper: 6.
        dropout: Decoders for which half of the channels are dropped. Paper: 6.
        object_mask: Decoders whose features are 0 at predicted foreground. Paper: 2.
        context_mask: Decoders whose features are 0 at predicted background. Paper: 2.
        cutout: Decoders whose features are 0 in a random rectangle of the foreground. Paper: 6.
        vat: Decoders whose features are moved where their prediction changes most. Paper: 2.
        background: Number of the background class. None: there is none; `object_mask`,
            `context_mask` and `cutout` must be 0 then.
        warmup_steps: Supervised steps before the auxiliary decoders start, part of all steps; a
            value below 1 is a share of the run. The paper has none.
        rampup_steps: Steps after the warm-up over which the weight grows; below 1 a share of the
            run.

    Raises:
        UserError: For no decoder at all, or perturbations that need a background class.
    """

    num_views: ClassVar[int] = 1

    weight: float = 30.0
    noise: int = 1
    drop: int = 1
    dropout: int = 1
    object_mask: int = 1
    context_mask: int = 1
    cutout: int = 1
    vat: int = 1
    background: int | None = 0
    warmup_steps: float = 0.3
    rampup_steps: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        self.kinds = [kind for kind in PERTURBATIONS for _ in range(getattr(self, kind))]
        if not self.kinds:
            raise UserError(f"cct has no auxiliary decoder; give one of {', '.join(PERTURBATIONS)}")
        guided = [kind for kind in GUIDED if kind in self.kinds]
        if self.background is None and guided:
            raise UserError(
                f"cct has no background class, which {', '.join(guided)} need; give background, "
                "or 0 for these"
            )

    def setup(self, model: Segmenter) -> None:
        """Set the student; add the auxiliary decoders."""
        super().setup(model)
        stride = min(2 ** model.hparams["depth"], model.hparams["output_stride"] or model.divisor)
        shape = model.encoder.out_channels[-1], model.num_classes, stride
        self.auxiliaries = nn.ModuleList(AuxiliaryDecoder(*shape) for _ in self.kinds)

    def idle(self, step: Step) -> Iterable[nn.Parameter]:
        """The auxiliary decoders during the warm-up."""
        waits = step.index < step.length(self.warmup_steps)
        return self.auxiliaries.parameters() if waits else ()

    def losses(self, batch: Batch, step: Step) -> StepOutput:
        """`sup` and, after the warm-up, `unsup`."""
        image, label = batch.labeled
        terms = {"sup": self.labeled_loss(self.student(image), label, step)}
        since = step.index - step.length(self.warmup_steps)
        if since < 0:
            return StepOutput(terms)
        target, outputs = self.predict(batch.unlabeled.views[0], step)
        valid = batch.unlabeled.valid
        scale = self.weight * gaussian_rampup(since, step.length(self.rampup_steps))
        terms["unsup"] = scale * disagreement(outputs, target, valid, step.devices)
        mean, hard = torch.stack(outputs).detach().mean(0), target.argmax(1)
        pseudo = Pseudo(hard, torch.ones_like(target[:, 0]), valid, hard, valid, mean)
        return StepOutput(terms, pseudo=pseudo)

    def predict(self, image: Tensor, step: Step) -> tuple[Tensor, list[Tensor]]:
        """Probabilities of the main decoder, and logits of each auxiliary one.

        Args:
            image: (B, C, H, W) float.
            step: The step with its generator.

        Returns:
            (B, C, H, W) float without gradient, and logits of the same shape.
        """
        student, feats = self.student, self.student.encode(image)
        with torch.no_grad():
            target = student.upsample(student.decoder(feats), image).softmax(1)
        deepest, padded = feats[-1], student.padded(image)
        foreground = foreground_at(deepest, target, padded, self.background)
        outputs = []
        for kind, decode in zip(self.kinds, self.auxiliaries, strict=True):
            moved = perturbed(kind, deepest, foreground, decode, step.draws)
            outputs.append(student.upsample(decode(moved), image))
        return target, outputs

    def pictures(self, batch: Batch, step: Step) -> list[Picture]:
        """Input, target, and what every auxiliary decoder says."""
        if not batch.unlabeled.views:
            return []
        image, valid = batch.unlabeled.views[0], batch.unlabeled.valid
        with labeling(self):
            target, outputs = self.predict(image, step)
        said = target.argmax(1).where(valid, IGNORE)
        pairs = zip(self.kinds, outputs, strict=True)
        return [
            Picture("input", "image", image),
            Picture("prediction", "label", said),
            *(Picture(kind.replace("_", " "), "label", out.argmax(1)) for kind, out in pairs),
        ]
