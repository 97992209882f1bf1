"""GuidedMix-Net as its authors released it, which is another algorithm than the paper's.

https://github.com/yh-pengtu/GuidedMix-Net, `encoder_decoder.py`, class GuidedMix_EncoderDecoder.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from ssseg.losses import pixel_sigmoid_focal
from ssseg.methods.base import Method
from ssseg.methods.guidedmix.blends import (
    Pairs,
    Passes,
    blend_pairs,
    check_bound,
    figure_columns,
    mean,
    see,
)
from ssseg.models.ema import labeling
from ssseg.models.segmenter import Segmenter
from ssseg.ops.decouple import decouple_prediction
from ssseg.ops.mix import beta_lambda, random_candidates
from ssseg.types import Batch, Picture, Pseudo, Step, StepOutput


@dataclass(eq=False, repr=False)
class GuidedMixReleased(Method):
    """Blends encoder features with those of random labeled images, for a second decoder.

    The second decoder reads the blend; the labeled image's logits, times its share, are subtracted
    from what it says, and the rest is compared with the most likely class of the unlabeled image as
    it is (sigmoid focal loss). The gradient reaches both decoders: nothing subtracted is detached.
    The released code blends after the ASPP module; here all feature maps of the encoder are
    blended. Terms: `sup`, and `unsup` after the warm-up.

    Args:
        lambda_max: Upper bound of the labeled images' share, of which there is one per batch
            (`lambda_factor` of the code).
        weight: Of `unsup`.
        warmup_steps: Supervised steps before `unsup` starts; below 1 a share of the run. The code
            starts from pretrained weights and has none.

    Raises:
        UserError: For a bound outside (0, 0.5].
    """

    num_views: ClassVar[int] = 1
    decoder: ClassVar[str | None] = "guidedmix"

    lambda_max: float = 0.5
    weight: float = 10.0
    warmup_steps: float = 0.3

    def __post_init__(self) -> None:
        super().__post_init__()
        check_bound(1.0, self.lambda_max)

    def setup(self, model: Segmenter) -> None:
        """Take the network and add the second decoder."""
        super().setup(model)
        self.mix_decoder = model.new_decoder()

    def idle(self, step: Step) -> Iterable[nn.Parameter]:
        """The second decoder until the warm-up is over."""
        warming = step.index < step.length(self.warmup_steps)
        return self.mix_decoder.parameters() if warming else ()

    def losses(self, batch: Batch, step: Step) -> StepOutput:
        """`sup` and, after the warm-up, `unsup`; one pass of the encoder."""
        (image, label), labeled = batch.labeled, len(batch.labeled.image)
        mixing = step.index >= step.length(self.warmup_steps)
        images = torch.cat((image, batch.unlabeled.views[0])) if mixing else image
        seen = see(self.student, images)
        terms = {"sup": self.labeled_loss(seen.logits[:labeled], label, step)}
        if not mixing:
            return StepOutput(terms)

        pairs = self._pairs(labeled, len(images) - labeled, step)
        mixed = self._mixed(images, labeled, pairs, seen)
        decoupled = decouple_prediction(mixed, seen.logits[pairs.first], pairs.lam)
        direct = seen.logits[labeled:].detach()
        error = pixel_sigmoid_focal(decoupled, direct.argmax(1))
        valid = batch.unlabeled.valid
        terms["unsup"] = self.weight * mean(error, valid, step.devices)
        trusted, prediction = torch.ones_like(error), decoupled.detach()
        pseudo = Pseudo(direct, trusted, valid, direct, valid, prediction)
        return StepOutput(terms, pseudo=pseudo)

    def _pairs(self, labeled: int, unlabeled: int, step: Step) -> Pairs:
        """Random pairs with one share for all of them."""
        draws, device = step.generator, step.generator.device
        first = random_candidates(unlabeled, labeled, generator=draws, device=device)
        lam = beta_lambda(1, cap=self.lambda_max, generator=draws, device=device)
        return Pairs(first, torch.arange(unlabeled, device=device), lam.expand(unlabeled))

    def _mixed(self, images: Tensor, labeled: int, pairs: Pairs, seen: Passes) -> Tensor:
        """The second decoder's logits of the blends, (P, C, H, W)."""
        feats = [blend_pairs(level[:labeled], level[labeled:], pairs) for level in seen.feats]
        return self.student.upsample(self.mix_decoder(feats), images)

    def pictures(self, batch: Batch, step: Step) -> list[Picture]:
        """The paper's Fig. 5: both images, the blend, and the masks of and out of it."""
        if not batch.unlabeled.views:
            return []
        image, labeled = batch.unlabeled.views[0], len(batch.labeled.image)
        images = torch.cat((batch.labeled.image, image))
        with labeling(self):
            seen = see(self.student, images)
            pairs = self._pairs(labeled, len(image), step)
            mixed = self._mixed(images, labeled, pairs, seen)
        scores = {
            "prediction of the mix": mixed,
            "decoupled mask": decouple_prediction(mixed, seen.logits[pairs.first], pairs.lam),
            "direct prediction": seen.logits[labeled:],
        }
        return figure_columns(batch.labeled, batch.unlabeled, pairs, scores)
