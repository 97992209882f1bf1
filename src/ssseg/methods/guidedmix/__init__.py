"""GuidedMix-Net: labeled images guide the pseudo masks of unlabeled ones.

Tu, Huang, Ji, Zheng & Shao, "GuidedMix-Net: learning to improve pseudo masks using labeled images
as reference", 2021. An unlabeled image is blended with a labeled one that resembles it (LUPI, Eq. 2
and 3), the network predicts the blend, and the labeled image's part is taken out again (PMG, Eq. 7
and 8). What is left is compared with the direct prediction of the unlabeled image (Eq. 10).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple, cast

import torch
from torch import Tensor, nn

from ssseg.errors import UserError
from ssseg.losses import (
    ConfidenceWeight,
    class_presence_loss,
    confidence_weight,
    gaussian_rampup,
    pixel_soft_cross_entropy,
    trusted_from,
    weighted_mean,
)
from ssseg.methods.base import Method
from ssseg.methods.guidedmix.blends import (
    PairRule,
    Pairs,
    Passes,
    blend_pairs,
    check_bound,
    figure_columns,
    mean,
    pair_among_labeled,
    pair_with_unlabeled,
    see,
)
from ssseg.methods.guidedmix.variants import RETIRED, with_defaults
from ssseg.models.ema import EMA, labeling
from ssseg.models.segmenter import Segmenter
from ssseg.ops.decouple import as_distribution, decouple_prediction, one_hot
from ssseg.ops.mix import beta_lambda, blend
from ssseg.types import IGNORE, Batch, Picture, Pseudo, Step, StepOutput

Side = Literal["prediction", "truth"]
Decouple = Literal["soft", "hard"]
BY_VARIANT: Any = None
"""Stands for the variant's own value until the method is made."""


class Comparison(NamedTuple):
    """What the unlabeled term compares, of each pair."""

    error: Tensor
    """(P, H, W)."""
    conf: Tensor
    """(P, H, W), how sure the label is."""
    label: Tensor
    """(P, C, H, W) scores, the label of the unlabeled image."""
    target: Tensor
    """(P, C, H, W) scores that the student is to predict."""
    prediction: Tensor
    """(P, C, H, W) scores that it predicts."""


@dataclass(eq=False, repr=False)
class GuidedMix(Method):
    """Blends unlabeled images with similar labeled ones and decouples the prediction of the blend.

    Terms: `sup` (Eq. 1), `sup_cla` (image-level classes) and `sup_dec` (Eq. 12) from labeled images
    from the first step on, and `unsup` (Eq. 10) after the warm-up. Predictions are compared as
    probabilities; what is left after decoupling is divided by the unlabeled image's share.

    Args:
        variant: `paper`, or `teacher`: a mean teacher labels, and the student learns on the blend
            by cross-entropy, with the truth of the labeled image. It decides the options whose
            default is None, see `ssseg.methods.guidedmix.variants`.
        use_teacher: Labels of both images of a pair come from an averaged copy of the network.
        alpha: Of the Beta(alpha, alpha) that shares are drawn from; the paper does not say, the
            released code has 1.
        lambda_max: Upper bound of the labeled image's share (paper: VOC 0.5, Cityscapes 0.3,
            Context 0.4).
        pair: `similar`: for every unlabeled image the nearest labeled one of the batch
            (Sec. 3.1.1); `similar_unlabeled`: for every labeled image the nearest unlabeled one
            (Sec. 4.3.1); `random`: any labeled image.
        labeled_side: What the labeled image of a pair stands for when it is subtracted, or blended
            into the target of `cross_entropy`: the network's `prediction`, or its `truth`.
        decouple: Subtract it times its share (`soft`, Eq. 8) or whole (`hard`, Eq. 7).
        target: Which side of the comparison is a constant target: the `decoupled` mask (paper) or
            the `direct` prediction. The gradient goes to the other one.
        loss: `squared_error` (Eq. 10), or `cross_entropy` of the student's prediction of the blend
            against `lam y_l + (1 - lam) y_u`, with y_u the most likely class of the direct
            prediction (needs target `direct`; nothing is decoupled but in `sup_dec`).
        class_reduction: `mean` of the squared error over the classes, or their `sum`, as Eq. 10 and
            12 are printed.
        threshold: Confidence from which a label is trusted.
        conf_weight: How trust weighs the loss, see `ssseg.losses.confidence_weight`.
        weight: Of `unsup` after its ramp; 0 leaves it out. The paper does not say; CCT, its base,
            has 30. Default: 0.3 for `squared_error`, 30 with a teacher, 1 for `cross_entropy`.
        dec_target: What `sup_dec` asks for: the `prediction` of the second labeled image (Eq. 12),
            or its `truth`.
        dec_decouple: As `decouple`, in `sup_dec`; None: the same. Eq. 12 is printed with `hard`.
        dec_weight: Of `sup_dec`; 0 leaves it out.
        cla_weight: Of `sup_cla`; 0 leaves the classifier out (as on Cityscapes).
        warmup_steps: Supervised steps before `unsup` starts; below 1 a share of the run.
        rampup_steps: Steps over which its weight then grows; below 1 a share of the run.
        decay: Of the teacher's average.
        startup: Let the decay start as 1 - 1 / (t + 1).
        teacher_norm: Labels are made with `batch` statistics or with `running` ones; frozen layers
            always use the running ones.

    Raises:
        UserError: For an unknown variant, or options that contradict each other.
    """

    num_views: ClassVar[int] = 1
    decoder: ClassVar[str | None] = "guidedmix"
    retired: ClassVar[Mapping[str, str]] = RETIRED

    variant: Literal["paper", "teacher"] = "paper"
    use_teacher: bool = BY_VARIANT
    alpha: float = 1.0
    lambda_max: float = 0.5
    pair: PairRule = BY_VARIANT
    labeled_side: Side = BY_VARIANT
    decouple: Decouple = "soft"
    target: Literal["decoupled", "direct"] = BY_VARIANT
    loss: Literal["squared_error", "cross_entropy"] = BY_VARIANT
    class_reduction: Literal["mean", "sum"] = "mean"
    threshold: float = BY_VARIANT
    conf_weight: ConfidenceWeight = BY_VARIANT
    weight: float = BY_VARIANT
    dec_target: Side = BY_VARIANT
    dec_decouple: Decouple = BY_VARIANT
    dec_weight: float = 1.0
    cla_weight: float = 1.0
    warmup_steps: float = 0.3
    rampup_steps: float = 0.1
    decay: float = 0.99
    startup: bool = True
    teacher_norm: Literal["batch", "running"] = "batch"

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, value in with_defaults(self.hparams).items():
            setattr(self, name, value)
        check_bound(self.alpha, self.lambda_max)
        if self.loss == "cross_entropy" and self.target == "decoupled":
            raise UserError(
                "options of guidedmix: loss 'cross_entropy' asks for the blend of two labels, but "
                "target is 'decoupled'; expected target 'direct'"
            )

    def setup(self, model: Segmenter) -> None:
        """Take the network; add the classifier and the teacher where they are wanted."""
        super().setup(model)
        if self.cla_weight:
            self.classifier = nn.Linear(model.encoder.out_channels[-1], model.num_classes)
        if self.use_teacher:
            self.teacher = EMA(model, self.decay, startup=self.startup)

    def notices(self) -> list[str]:
        """Say so where the network has no MITrans, and where nobody but the student labels."""
        lines = []
        if not getattr(self.student.decoder, "mitrans", False):
            lines.append("guidedmix: this network has no MITrans; --network.decoder guidedmix has")
        if not self.use_teacher:
            lines.append(
                "guidedmix: the network is its own teacher, as in the paper; "
                "--method.use_teacher true is the safer choice"
            )
        return lines

    def batch_size_notices(self, labeled: int, unlabeled: int, devices: int = 1) -> list[str]:
        """Say so where a labeled image has no other one to be blended with."""
        if not self.dec_weight or labeled > devices:
            return []
        return [
            "guidedmix: one labeled image per step on each device is blended with itself for "
            f"sup_dec; give a --data.batch_size of at least {2 * devices}, or --method.dec_weight 0"
        ]

    def losses(self, batch: Batch, step: Step) -> StepOutput:
        """The terms of Eq. 9 and 11, under the names that the class describes."""
        (image, label), labeled = batch.labeled, len(batch.labeled.image)
        warmup = step.length(self.warmup_steps)
        mixing = self.weight > 0 and step.index >= warmup
        images = torch.cat((image, batch.unlabeled.views[0])) if mixing else image
        # under a teacher, unlabeled images as they are may be of no use to the student
        alone = self.use_teacher and self.target == "direct"
        seen = see(self.student, image if alone else images)
        said = self._label(images) if self.use_teacher else seen

        terms = {"sup": self.labeled_loss(seen.logits[:labeled], label, step)}
        if self.cla_weight:
            classes = self.classifier(seen.pooled[:labeled])
            presence = class_presence_loss(classes, label, step.devices)
            terms["sup_cla"] = self.cla_weight * presence
        if self.dec_weight:
            terms["sup_dec"] = self.dec_weight * self._dec_loss(images, label, said, step)
        if not mixing:
            return StepOutput(terms)

        pairs = self._pairs(said.pooled, labeled, step)
        found = self._compare(images, pairs, seen, said, label)
        image_of = pairs.second - labeled
        valid = known = batch.unlabeled.valid[image_of]
        if self.labeled_side == "truth":
            known = valid & (label[pairs.first] != IGNORE)
        trusted = trusted_from(found.conf, self.threshold)
        weight = confidence_weight(trusted, valid, self.conf_weight, step.devices)
        ramp = gaussian_rampup(step.index - warmup, step.length(self.rampup_steps))
        unsup = weighted_mean(found.error, weight, known, "valid", step.devices)
        terms["unsup"] = self.weight * ramp * unsup
        wanted, prediction = found.target.detach(), found.prediction.detach()
        pseudo = Pseudo(found.label.detach(), trusted, valid, wanted, known, prediction, image_of)
        return StepOutput(terms, {"trusted": mean(trusted, valid)}, pseudo)

    def _compare(
        self, images: Tensor, pairs: Pairs, seen: Passes, said: Passes, label: Tensor
    ) -> Comparison:
        """Both sides of Eq. 10, or of the cross-entropy on the blend.

        Args:
            images: Of the step.
            pairs: What is blended.
            seen: By the student.
            said: By who labels.
            label: (B, H, W) truth of the labeled images.
        """
        blends = blend_pairs(images, pairs)
        side = self._scores(self.labeled_side, said, label, pairs.first)
        if self.target == "decoupled":
            mixed = self._label(blends).logits
            mask = as_distribution(self._decoupled(mixed, side, pairs.lam, self.decouple))
            probs = seen.logits[pairs.second].softmax(1)
            return Comparison(self._error(probs, mask), mask.amax(1), mask, mask, probs)
        direct = said.logits[pairs.second].detach().softmax(1)
        conf, best = direct.max(1)
        logits = self.student(blends)
        if self.loss == "cross_entropy":
            ours, theirs = one_hot(side.argmax(1), direct), one_hot(best, direct)
            target = blend(ours, theirs, pairs.lam)
            error = pixel_soft_cross_entropy(logits, target)
            return Comparison(error, conf, direct, target, logits)
        left = self._decoupled(logits, side, pairs.lam, self.decouple)
        return Comparison(self._error(left, direct), conf, direct, direct, left)

    def _dec_loss(self, images: Tensor, label: Tensor, said: Passes, step: Step) -> Tensor:
        """Eq. 12: labeled images, the first ones, blended with each other and decoupled again."""
        first, second = pair_among_labeled(said.pooled[: len(label)], self.pair)
        pairs = Pairs(first, second, self._shares(second, step))
        logits = self.student(blend_pairs(images, pairs))
        side = self._scores(self.labeled_side, said, label, first)
        wanted = self._scores(self.dec_target, said, label, second)
        left = self._decoupled(logits, side, pairs.lam, self.dec_decouple)
        known = (label[first] != IGNORE) & (label[second] != IGNORE)
        return mean(self._error(left, wanted), known, step.devices)

    @staticmethod
    def _scores(side: Side, said: Passes, label: Tensor, places: Tensor) -> Tensor:
        """Probabilities of labeled images, predicted or true, (P, C, H, W), without gradient."""
        if side == "truth":
            return one_hot(label[places], said.logits)
        return said.logits[places].softmax(1).detach()

    @staticmethod
    def _decoupled(logits: Tensor, side: Tensor, lam: Tensor, how: Decouple) -> Tensor:
        """What is left of the prediction of a blend without its first image (Eq. 7 and 8)."""
        mixed = logits.softmax(1)
        lam = lam.to(mixed.dtype)
        share = lam if how == "soft" else torch.ones_like(lam)
        return decouple_prediction(mixed, side, share, 1 - lam)

    def _error(self, scores: Tensor, target: Tensor) -> Tensor:
        error = (scores - target).square()
        return error.mean(1) if self.class_reduction == "mean" else error.sum(1)

    def _pairs(self, pooled: Tensor, labeled: int, step: Step) -> Pairs:
        first, second = pair_with_unlabeled(pooled, labeled, self.pair, step)
        return Pairs(first, second, self._shares(first, step))

    def _shares(self, places: Tensor, step: Step) -> Tensor:
        return beta_lambda(
            *(len(places), self.alpha, self.lambda_max),
            generator=step.generator,
            device=places.device,
        )

    def _label(self, image: Tensor) -> Passes:
        """What who labels says of images, without gradient."""
        network = cast(Segmenter, self.teacher.module) if self.use_teacher else self.student
        with labeling(network, self.teacher_norm):
            return see(network, image)

    def after_step(self, step: Step) -> None:
        """The teacher follows, where there is one."""
        if self.use_teacher:
            self.teacher.update(self.student, step.index)

    def pictures(self, batch: Batch, step: Step) -> list[Picture]:
        """The paper's Fig. 5: both images, the blend, and the masks of and out of it."""
        if not batch.unlabeled.views:
            return []
        images = torch.cat((batch.labeled.image, batch.unlabeled.views[0]))
        said = self._label(images)
        pairs = self._pairs(said.pooled, len(batch.labeled.image), step)
        mixed = self._label(blend_pairs(images, pairs)).logits
        side = self._scores(self.labeled_side, said, batch.labeled.label, pairs.first)
        mask = as_distribution(self._decoupled(mixed, side, pairs.lam, self.decouple))
        scores = {
            "prediction of the mix": mixed,
            "decoupled mask": mask,
            "direct prediction": said.logits[pairs.second],
        }
        return figure_columns(batch, pairs, scores)
