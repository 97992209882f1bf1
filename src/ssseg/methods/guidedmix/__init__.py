"""GuidedMix-Net: labeled images guide the pseudo masks of unlabeled ones.

Tu, Huang, Ji, Zheng & Shao, "GuidedMix-Net: learning to improve pseudo masks using labeled images
as reference", 2021. An unlabeled image is blended with a labeled one that resembles it (LUPI, Eq. 2
and 3), the network predicts the blend, and the labeled image's prediction is taken out again (PMG,
Eq. 7 and 8). What is left is compared with the direct prediction of the unlabeled image (Eq. 10).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple, cast

import torch
from torch import Tensor, nn

from ssseg.distributed import SINGLE, DistInfo
from ssseg.errors import UserError
from ssseg.losses import (
    ConfidenceWeight,
    class_presence_loss,
    confidence_weight,
    cross_entropy,
    gaussian_rampup,
    pixel_sigmoid_focal,
    trusted_from,
    weighted_mean,
)
from ssseg.methods.base import Method
from ssseg.models.ema import EMA, labeling
from ssseg.models.segmenter import Segmenter, freeze_batchnorm
from ssseg.ops.decouple import Space, as_distribution, decouple_prediction, to_scores
from ssseg.ops.mix import beta_lambda, blend, most_similar, random_candidates, roll_pairs
from ssseg.types import IGNORE, Batch, Picture, Pseudo, Step, StepOutput

VARIANTS: dict[str, dict[str, Any]] = {
    "paper": {
        "mix_space": "image",
        "pair": "similar",
        "lambda_per": "sample",
        "space": "probs",
        "target": "decoupled",
        "detach_labeled": True,
        "loss": "squared_error",
        "weight": 0.3,
        "dec_weight": 1.0,
        "cla_weight": 1.0,
        "rampup_steps": 0.1,
    },
    "released": {
        "mix_space": "feature",
        "pair": "random",
        "lambda_per": "batch",
        "space": "logits",
        "target": "direct",
        "detach_labeled": False,
        "loss": "focal",
        "weight": 10.0,
        "dec_weight": 0.0,
        "cla_weight": 0.0,
        "rampup_steps": 0.0,
    },
}
WITH_TEACHER: dict[str, dict[str, Any]] = {
    "paper": {"pair": "random", "target": "direct", "weight": 30.0},
    "released": {},
}
"""What a variant has instead where a teacher labels."""
BY_VARIANT: Any = None
"""Stands for the variant's own value until the method is made."""


class BlendPasses(NamedTuple):
    """What a network makes of a batch of images."""

    pooled: Tensor
    """(B, D), its deepest features averaged over the image."""
    feats: list[Tensor]
    """Feature maps, finest first."""
    logits: Tensor
    """(B, C, H, W)."""


class Pairs(NamedTuple):
    """What is blended: places in a batch of images and the share of the first of each pair."""

    first: Tensor
    """(P,) int64; labeled images."""
    second: Tensor
    """(P,) int64; the images whose masks are decoupled."""
    lam: Tensor
    """(P,) in (0, lambda_max)."""


@dataclass(eq=False, repr=False)
class GuidedMix(Method):
    """Blends unlabeled images with similar labeled ones and decouples the prediction of the blend.

    Terms: `sup` (Eq. 1), `sup_cla` (image-level classes) and `sup_dec` (Eq. 12) from labeled images
    from the first step on, and `unsup` (Eq. 10) after the warm-up.

    Args:
        variant: `paper`, or `released`: what the authors' code does, another algorithm (mixing of
            features, a second decoder, random pairs, focal loss on hard labels). It decides the
            options whose default is None.
        teacher: Labels of both images of a pair come from an averaged copy of the network. In the
            paper's variant `target` is then `direct`, `weight` 30 and `pair` random: the student
            separates on the blend what the teacher saw in the images, as in the library's other
            methods. (Nearest images are hubs: a few labeled ones are everybody's neighbour.)
        alpha: Of the Beta(alpha, alpha) that shares are drawn from; the paper does not say, the
            released code has 1.
        lambda_max: Upper bound of the labeled image's share (paper: VOC 0.5, Cityscapes 0.3,
            Context 0.4).
        cap: How the bound is kept, see `ssseg.ops.beta_lambda`.
        lambda_per: One share per `sample` or per `batch`.
        mix_space: Blend the `image`, or the encoder's `feature` maps, which a second decoder reads.
        pair: `similar`: for every unlabeled image the nearest labeled one of the batch
            (Sec. 3.1.1); `similar_unlabeled`: for every labeled image the nearest unlabeled one
            (Sec. 4.3.1); `random`: any labeled image.
        decouple: Subtract the labeled prediction times its share (`soft`, Eq. 8) or whole (`hard`,
            Eq. 7).
        space: What is subtracted: `probs`, `logits` or `relu_logits`.
        rescale: Divide what is left by the unlabeled image's share. Always so for `probs`, which
            else would not sum to 1; False for logits is the formula as printed, whose fixed point
            is an ever larger prediction.
        target: Which side of the comparison is a constant target: the `decoupled` mask (paper),
            the `direct` prediction (released code) or `none`. The gradient goes to the other one.
        detach_labeled: No gradient through the labeled prediction that is subtracted.
        loss: `squared_error`, or `focal` against the target's most likely class.
        class_reduction: `mean` or `sum` of the squared error over the classes.
        hard_labels: Compare with the most likely class of the target instead of its scores (only in
            `probs`; `focal` always does).
        threshold: Confidence from which a target is trusted.
        conf_weight: How trust weighs the loss, see `ssseg.losses.confidence_weight`.
        weight: Of `unsup` after its ramp. The paper does not say; CCT, its base, has 30.
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

    variant: Literal["paper", "released"] = "paper"
    teacher: bool = False
    alpha: float = 1.0
    lambda_max: float = 0.5
    cap: Literal["reject", "rescale", "clip"] = "reject"
    lambda_per: Literal["sample", "batch"] = BY_VARIANT
    mix_space: Literal["image", "feature"] = BY_VARIANT
    pair: Literal["similar", "similar_unlabeled", "random"] = BY_VARIANT
    decouple: Literal["soft", "hard"] = "soft"
    space: Space = BY_VARIANT
    rescale: bool = False
    target: Literal["decoupled", "direct", "none"] = BY_VARIANT
    detach_labeled: bool = BY_VARIANT
    loss: Literal["squared_error", "focal"] = BY_VARIANT
    class_reduction: Literal["mean", "sum"] = "mean"
    hard_labels: bool = False
    threshold: float = 0.0
    conf_weight: ConfidenceWeight = "none"
    weight: float = BY_VARIANT
    dec_weight: float = BY_VARIANT
    cla_weight: float = BY_VARIANT
    warmup_steps: float = 0.3
    rampup_steps: float = BY_VARIANT
    decay: float = 0.99
    startup: bool = True
    teacher_norm: Literal["batch", "running"] = "batch"

    def __post_init__(self) -> None:
        super().__post_init__()
        defaults = VARIANTS[self.variant]
        if self.teacher:
            defaults = defaults | WITH_TEACHER[self.variant]
        for name, value in defaults.items():
            if getattr(self, name) is None:
                setattr(self, name, value)
        if self.alpha <= 0 or not 0 < self.lambda_max <= 0.5:
            raise UserError(
                f"options of guidedmix: alpha is {self.alpha} and lambda_max {self.lambda_max}; "
                "expected alpha above 0, and lambda_max in (0, 0.5]"
            )
        if self.mix_space == "feature" and self.target == "decoupled" and not self.dec_weight:
            raise UserError(
                "options of guidedmix: with mix_space 'feature', target 'decoupled' and dec_weight "
                "0 nothing trains the second decoder; expected a dec_weight above 0"
            )
        if self.hard_labels and self.space != "probs":
            raise UserError(
                f"options of guidedmix: hard_labels are 0 and 1, but space is {self.space!r}; "
                "expected space 'probs'"
            )
        if self.loss == "focal" and self.space == "probs" and self.target == "direct":
            raise UserError(
                "options of guidedmix: loss is 'focal', which needs logits as prediction, but the "
                "prediction is decoupled in space 'probs'; expected space 'logits' or target "
                "'decoupled'"
            )

    def setup(self, model: Segmenter) -> None:
        """Take the network; add the classifier, the second decoder and the teacher it needs."""
        super().setup(model)
        if self.cla_weight:
            self.classifier = nn.Linear(model.encoder.out_channels[-1], model.num_classes)
        if self.mix_space == "feature":
            self.mix_decoder = model.new_decoder()
        if self.teacher:
            self.ema = EMA(model, self.decay, startup=self.startup)

    def train(self, mode: bool = True) -> "GuidedMix":
        """Train mode; the second decoder's BatchNorm is frozen where the network's is."""
        super().train(mode)
        if self.mix_space == "feature" and self.student.freeze_bn:
            freeze_batchnorm(self.mix_decoder)
        return self

    @property
    def networks(self) -> Mapping[str, nn.Module]:
        """The student, and the teacher where there is one."""
        return {"student": self.student} | ({"teacher": self.ema} if self.teacher else {})

    def idle(self, step: Step) -> Iterable[nn.Parameter]:
        """The second decoder of the released code until the warm-up is over."""
        warming = step.index < step.length(self.warmup_steps)
        idles = self.mix_space == "feature" and not self.dec_weight and warming
        return self.mix_decoder.parameters() if idles else ()

    def notices(self) -> list[str]:
        """Say so where the network has no MITrans, and where nobody but the student labels."""
        lines = []
        if not getattr(self.student.decoder, "mitrans", False):
            lines.append("guidedmix: this network has no MITrans; --network.decoder guidedmix has")
        if not self.teacher:
            lines.append(
                "guidedmix: the network is its own teacher, as in the paper; "
                "--method.teacher true is the safer choice"
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
        mixing = step.index >= warmup
        images = torch.cat((image, batch.unlabeled.views[0])) if mixing else image
        # under a teacher, unlabeled images as they are may be of no use to the student
        alone = self.teacher and self.target == "direct" and self.mix_space == "image"
        seen = _see(self.student, image if alone else images)
        said = self._label(images) if self.teacher else seen

        terms = {"sup": cross_entropy(seen.logits[:labeled], label, step.devices)}
        if self.cla_weight:
            classes = self.classifier(seen.pooled[:labeled])
            presence = class_presence_loss(classes, label, step.devices)
            terms["sup_cla"] = self.cla_weight * presence
        if self.dec_weight:
            pairs = self._labeled_pairs(said.pooled[:labeled], step)
            guess = self._decoupled(images, pairs, seen, said)
            truth = to_scores(said.logits[pairs.second], self.space).detach()
            known = (label[pairs.first] != IGNORE) & (label[pairs.second] != IGNORE)
            error = self._squared_error(guess, truth)
            terms["sup_dec"] = self.dec_weight * _mean(error, known, step.devices)
        if not mixing:
            return StepOutput(terms)

        pairs = self._pairs(said.pooled, labeled, step)
        valid = batch.unlabeled.valid[pairs.second - labeled]
        is_target = self.target == "decoupled"
        decoupled = self._decoupled(images, pairs, seen, said, as_label=is_target)
        direct = (said if self.target == "direct" else seen).logits[pairs.second]
        direct = direct.detach() if self.target == "direct" else direct
        error = self._error(decoupled, direct)
        trusted = trusted_from(self._confidence(decoupled, direct), self.threshold)
        weight = confidence_weight(trusted, valid, self.conf_weight, step.devices)
        ramp = gaussian_rampup(step.index - warmup, step.length(self.rampup_steps))
        mean = weighted_mean(error, weight, valid, "valid", step.devices)
        terms["unsup"] = self.weight * ramp * mean
        asked, answer = (decoupled, direct) if is_target else (direct, decoupled)
        asked, image = asked.detach(), pairs.second - labeled
        pseudo = Pseudo(asked, trusted, valid, asked, valid, answer.detach(), image)
        return StepOutput(terms, {"trusted": _mean(trusted, valid)}, pseudo)

    def _error(self, decoupled: Tensor, direct: Tensor) -> Tensor:
        """Between decoupled scores and direct logits, (P, H, W)."""
        prediction, target = to_scores(direct, self.space), decoupled
        logits = direct
        if self.target == "direct":
            prediction, target, logits = decoupled, prediction, decoupled
        if self.loss == "focal":
            return pixel_sigmoid_focal(logits, target.argmax(1))
        return self._squared_error(prediction, _one_hot(target) if self.hard_labels else target)

    def _confidence(self, decoupled: Tensor, direct: Tensor) -> Tensor:
        """Of the target, (P, H, W)."""
        if self.target == "direct":
            return direct.softmax(1).amax(1)
        return (decoupled if self.space == "probs" else decoupled.softmax(1)).amax(1)

    def _squared_error(self, scores: Tensor, target: Tensor) -> Tensor:
        error = (scores - target).square()
        return error.mean(1) if self.class_reduction == "mean" else error.sum(1)

    def _pairs(self, pooled: Tensor, labeled: int, step: Step) -> Pairs:
        """Labeled images (the first of the batch) with unlabeled ones (the rest)."""
        ours, theirs = pooled[:labeled], pooled[labeled:]
        if self.pair == "similar_unlabeled":
            first, second = _count(ours), most_similar(ours, theirs)
        elif self.pair == "similar":
            first, second = most_similar(theirs, ours), _count(theirs)
        else:
            first = random_candidates(
                len(theirs), labeled, generator=step.generator, device=pooled.device
            )
            second = _count(theirs)
        return Pairs(first, second + labeled, self._shares(first, step))

    def _labeled_pairs(self, pooled: Tensor, step: Step) -> Pairs:
        """Labeled images with each other, by the same rule."""
        if self.pair == "random":
            second = roll_pairs(len(pooled), pooled.device)  # their order in the batch is random
        else:
            second = most_similar(pooled, pooled, others=True)
        return Pairs(_count(pooled), second, self._shares(second, step))

    def _shares(self, pairs: Tensor, step: Step) -> Tensor:
        draws = len(pairs) if self.lambda_per == "sample" else 1
        lam = beta_lambda(
            draws,
            self.alpha,
            self.lambda_max,
            self.cap,
            generator=step.generator,
            device=pairs.device,
        )
        return lam.expand(len(pairs))

    def _decoupled(
        self,
        images: Tensor,
        pairs: Pairs,
        seen: BlendPasses,
        said: BlendPasses,
        *,
        as_label: bool = False,
    ) -> Tensor:
        """What is left of the prediction of a blend without its first image (Eq. 7 and 8).

        Args:
            images: Of the step.
            pairs: What is blended.
            seen: By the student.
            said: By who labels.
            as_label: Make a target: no gradient, and in `probs` a distribution.

        Returns:
            (P, C, H, W) scores in `space`.
        """
        predict = self._mixed_label if as_label else self._mixed
        mixed = to_scores(predict(images, pairs, seen), self.space)
        labeled = to_scores(said.logits[pairs.first], self.space)
        labeled = labeled.detach() if self.detach_labeled or as_label else labeled
        share = pairs.lam if self.decouple == "soft" else torch.ones_like(pairs.lam)
        rest = 1 - pairs.lam if self.rescale or self.space == "probs" else None
        decoupled = decouple_prediction(mixed, labeled, share, rest)
        return as_distribution(decoupled) if as_label and self.space == "probs" else decoupled

    def _mixed(self, images: Tensor, pairs: Pairs, seen: BlendPasses) -> Tensor:
        """The student's logits of the blends."""
        if self.mix_space == "image":
            logits: Tensor = self.student(_blend(images, pairs))
            return logits
        feats = [_blend(level, pairs) for level in seen.feats]
        return self.student.upsample(self.mix_decoder(feats), images)

    def _mixed_label(self, images: Tensor, pairs: Pairs, seen: BlendPasses) -> Tensor:
        """The logits of the blends as a label: by who labels, without gradient."""
        if self.mix_space == "image":
            return self._label(_blend(images, pairs)).logits
        with labeling(self, self.teacher_norm):
            return self._mixed(images, pairs, seen)

    def _label(self, image: Tensor) -> BlendPasses:
        network = cast(Segmenter, self.ema.module) if self.teacher else self.student
        with labeling(network, self.teacher_norm):
            return _see(network, image)

    def after_step(self, step: Step) -> None:
        """The teacher follows, where there is one."""
        if self.teacher:
            self.ema.update(self.student, step.index)

    def pictures(self, batch: Batch, step: Step) -> list[Picture]:
        """The paper's Fig. 5: both images, the blend, and the masks of and out of it."""
        if not batch.unlabeled.views:
            return []
        images = torch.cat((batch.labeled.image, batch.unlabeled.views[0]))
        labeled = len(batch.labeled.image)
        with labeling(self.student, self.teacher_norm):
            seen = _see(self.student, images)
        said = self._label(images)
        pairs = self._pairs(said.pooled, labeled, step)
        mixed = self._mixed_label(images, pairs, seen).argmax(1)
        decoupled = self._decoupled(images, pairs, seen, said, as_label=True).argmax(1)
        direct = said.logits[pairs.second].argmax(1)
        valid = batch.unlabeled.valid[pairs.second - labeled]
        shown = (torch.where(valid, part, IGNORE) for part in (mixed, decoupled, direct))
        titles = ("prediction of the mix", "decoupled mask", "direct prediction")
        return [
            Picture("labeled", "image", images[pairs.first]),
            Picture("its truth", "label", batch.labeled.label[pairs.first]),
            Picture("unlabeled", "image", images[pairs.second]),
            Picture("mix", "image", _blend(images, pairs)),
            *(Picture(title, "label", part) for title, part in zip(titles, shown, strict=True)),
        ]


def _see(network: Segmenter, image: Tensor) -> BlendPasses:
    feats = network.encode(image)
    return BlendPasses(
        feats[-1].mean((2, 3)), feats, network.upsample(network.decoder(feats), image)
    )


def _blend(values: Tensor, pairs: Pairs) -> Tensor:
    """`lam * x_l + (1 - lam) * x_u` (Eq. 2)."""
    return blend(values[pairs.first], values[pairs.second], pairs.lam)


def _count(rows: Tensor) -> Tensor:
    return torch.arange(len(rows), device=rows.device)


def _one_hot(scores: Tensor) -> Tensor:
    """1 for the largest of the classes, (P, C, H, W)."""
    return torch.zeros_like(scores).scatter(1, scores.argmax(1, keepdim=True), 1.0)


def _mean(error: Tensor, valid: Tensor, devices: DistInfo = SINGLE) -> Tensor:
    return weighted_mean(error, torch.ones_like(error), valid, "valid", devices)
