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
    Decouple,
    Pairs,
    Passes,
    blend_pairs,
    check_bound,
    decoupled,
    figure_columns,
    mean,
    see,
)
from ssseg.methods.guidedmix.candidates import Candidates, Recent, Side, gathered
from ssseg.methods.guidedmix.partners import partners
from ssseg.methods.guidedmix.variants import RETIRED, with_defaults
from ssseg.models.ema import EMA, labeling
from ssseg.models.segmenter import Segmenter
from ssseg.ops.decouple import as_distribution, one_hot
from ssseg.ops.mix import beta_lambda, blend, most_similar
from ssseg.types import IGNORE, Batch, Labeled, Picture, Pseudo, Step, StepOutput

PairRule = Literal["similar", "assigned", "random", "similar_unlabeled"]
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
        variant: `teacher`: a mean teacher labels, and the student learns on the blend by
            cross-entropy, with the truth of the labeled image; or `paper`. It decides the options
            whose default is None, see `ssseg.methods.guidedmix.variants`.
        use_teacher: Labels of both images of a pair come from an averaged copy of the network.
        alpha: Of the Beta(alpha, alpha) that shares are drawn from; the paper does not say, the
            released code has 1.
        lambda_max: Upper bound of the labeled image's share (paper: VOC 0.5, Cityscapes 0.3,
            Context 0.4).
        pair: `similar`: for every unlabeled image the nearest labeled one of the batch
            (Sec. 3.1.1); `assigned`: near ones, such that all are used equally often; `random`: any
            labeled image; `similar_unlabeled`: for every labeled image the nearest unlabeled one
            (Sec. 4.3.1), on its own device.
        recent: Labeled images of earlier steps that unlabeled ones may be paired with, besides
            those of the batch; 0: none. As they were augmented, and with the features of then.
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

    variant: Literal["teacher", "paper"] = "teacher"
    use_teacher: bool = BY_VARIANT
    alpha: float = 1.0
    lambda_max: float = 0.5
    pair: PairRule = BY_VARIANT
    recent: int = 0
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
    dec_weight: float = BY_VARIANT
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
        if self.recent and (self.labeled_side == "prediction" or self.pair == "similar_unlabeled"):
            raise UserError(
                f"options of guidedmix: recent is {self.recent}, with labeled_side "
                f"{self.labeled_side!r} and pair {self.pair!r}; expected labeled_side 'truth' and "
                "another pair than 'similar_unlabeled', since only images and truth are kept"
            )
        self._recent = Recent(self.recent)

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
                "guidedmix: the network is its own teacher, as in the paper; the default, "
                "--method.variant teacher, is the safer choice"
            )
        return lines

    def batch_size_notices(self, labeled: int, unlabeled: int, devices: int = 1) -> list[str]:
        """Say so where a labeled image has no other one to be blended with."""
        if not self.dec_weight or labeled > 1:
            return []
        return [
            "guidedmix: the only labeled image of a step is blended with itself for sup_dec; "
            "give a --data.batch_size of at least 2, or --method.dec_weight 0"
        ]

    def losses(self, batch: Batch, step: Step) -> StepOutput:
        """The terms of Eq. 9 and 11, under the names that the class describes."""
        (image, label), count = batch.labeled, len(batch.labeled.image)
        warmup = step.length(self.warmup_steps)
        mixing = self.weight > 0 and step.index >= warmup
        images = torch.cat((image, batch.unlabeled.views[0])) if mixing else image
        # under a teacher, unlabeled images as they are may be of no use to the student
        alone = self.use_teacher and self.target == "direct"
        seen = see(self.student, image if alone else images)
        labeled, unlabeled = (self._label(images) if self.use_teacher else seen).split(count)
        candidates = self._candidates(batch.labeled, labeled, step)

        terms = {"sup": self.labeled_loss(seen.logits[:count], label, step)}
        if self.cla_weight:
            classes = self.classifier(seen.pooled[:count])
            presence = class_presence_loss(classes, label, step.devices)
            terms["sup_cla"] = self.cla_weight * presence
        if self.dec_weight:
            error = self._dec_loss(batch.labeled, labeled, candidates, step)
            terms["sup_dec"] = self.dec_weight * error
        candidates = self._recent.after(candidates)
        self._recent.keep(candidates)
        if not mixing:
            return StepOutput(terms)

        pairs = self._pairs(candidates, labeled, unlabeled, step)
        blends = blend_pairs(candidates.image, batch.unlabeled.views[0], pairs)
        side = candidates.side(self.labeled_side, pairs.first, unlabeled.logits)
        # what is compared with the decoupled mask is the student's, also under a teacher
        direct = seen.split(count)[1] if self.target == "decoupled" else unlabeled
        found = self._compare(blends, side, pairs, direct.logits[pairs.second])
        valid = known = batch.unlabeled.valid[pairs.second]
        if self.labeled_side == "truth":
            known = valid & (candidates.label[pairs.first] != IGNORE)
        trusted = trusted_from(found.conf, self.threshold)
        weight = confidence_weight(trusted, valid, self.conf_weight, step.devices)
        ramp = gaussian_rampup(step.index - warmup, step.length(self.rampup_steps))
        unsup = weighted_mean(found.error, weight, known, "valid", step.devices)
        terms["unsup"] = self.weight * ramp * unsup
        wanted, prediction = found.target.detach(), found.prediction.detach()
        pseudo = Pseudo(
            found.label.detach(), trusted, valid, wanted, known, prediction, pairs.second
        )
        return StepOutput(terms, {"trusted": mean(trusted, valid)}, pseudo)

    def _compare(self, blends: Tensor, side: Tensor, pairs: Pairs, logits: Tensor) -> Comparison:
        """Both sides of Eq. 10, or of the cross-entropy on the blend.

        Args:
            blends: (P, 3, H, W).
            side: (P, C, H, W) probabilities of the labeled images.
            pairs: What is blended.
            logits: (P, C, H, W), the direct predictions of the unlabeled images.
        """
        direct = logits.softmax(1)
        if self.target == "decoupled":
            mixed = self._label(blends).logits
            mask = as_distribution(decoupled(mixed, side, pairs.lam, self.decouple))
            return Comparison(self._error(direct, mask), mask.amax(1), mask, mask, direct)
        direct = direct.detach()
        conf, best = direct.max(1)
        mixed = self.student(blends)
        if self.loss == "cross_entropy":
            target = blend(one_hot(side.argmax(1), direct), one_hot(best, direct), pairs.lam)
            error = pixel_soft_cross_entropy(mixed, target)
            return Comparison(error, conf, direct, target, mixed)
        left = decoupled(mixed, side, pairs.lam, self.decouple)
        return Comparison(self._error(left, direct), conf, direct, direct, left)

    def _dec_loss(
        self, batch: Labeled, labeled: Passes, candidates: Candidates, step: Step
    ) -> Tensor:
        """Eq. 12: labeled images blended with other labeled ones, and decoupled again.

        Args:
            batch: Labeled images, which are subtracted.
            labeled: What is said of them.
            candidates: Those that they are blended with.
            step: The step.
        """
        places = torch.arange(len(batch.image), device=batch.image.device)
        own = places + step.devices.rank * len(places)
        rule = "similar" if self.pair == "similar_unlabeled" else self.pair
        second = partners(labeled.pooled, candidates.pooled, rule, step, own)
        pairs = Pairs(places, second, self._shares(second, step))
        logits = self.student(blend_pairs(batch.image, candidates.image, pairs))
        side = candidates.side(self.labeled_side, own, logits)
        wanted = candidates.side(self.dec_target, second, logits)
        left = decoupled(logits, side, pairs.lam, self.dec_decouple)
        known = (batch.label != IGNORE) & (candidates.label[second] != IGNORE)
        return mean(self._error(left, wanted), known, step.devices)

    def _error(self, scores: Tensor, target: Tensor) -> Tensor:
        error = (scores - target).square()
        return error.mean(1) if self.class_reduction == "mean" else error.sum(1)

    def _candidates(self, batch: Labeled, labeled: Passes, step: Step) -> Candidates:
        """The labeled images of the batch, of all devices."""
        asked = "prediction" in (self.labeled_side, self.dec_target)
        probs = labeled.logits.detach().softmax(1) if asked else None
        return gathered(batch, labeled.pooled, probs, step.devices)

    def _pairs(
        self, candidates: Candidates, labeled: Passes, unlabeled: Passes, step: Step
    ) -> Pairs:
        """Candidates with unlabeled images, and the shares of the candidates."""
        theirs, device = unlabeled.pooled, unlabeled.pooled.device
        if self.pair == "similar_unlabeled":
            second = most_similar(labeled.pooled, theirs)
            first = torch.arange(len(second), device=device) + step.devices.rank * len(second)
        else:
            second = torch.arange(len(theirs), device=device)
            first = partners(theirs, candidates.pooled, self.pair, step)
        return Pairs(first, second, self._shares(first, step))

    def _shares(self, places: Tensor, step: Step) -> Tensor:
        size, draws = (len(places), self.alpha, self.lambda_max), step.draws
        return beta_lambda(*size, generator=draws, device=places.device)

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
        image, other = batch.labeled.image, batch.unlabeled.views[0]
        labeled, unlabeled = self._label(torch.cat((image, other))).split(len(image))
        candidates = self._recent.after(self._candidates(batch.labeled, labeled, step))
        pairs = self._pairs(candidates, labeled, unlabeled, step)
        mixed = self._label(blend_pairs(candidates.image, other, pairs)).logits
        side = candidates.side(self.labeled_side, pairs.first, mixed)
        scores = {
            "prediction of the mix": mixed,
            "decoupled mask": as_distribution(decoupled(mixed, side, pairs.lam, self.decouple)),
            "direct prediction": unlabeled.logits[pairs.second],
        }
        return figure_columns(candidates[:2], batch.unlabeled, pairs, scores)
