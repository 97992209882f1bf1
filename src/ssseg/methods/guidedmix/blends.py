"""What both GuidedMix methods share: passes of a network, pairs of images, their blends."""

from typing import Literal, NamedTuple

import torch
from torch import Tensor

from ssseg.distributed import SINGLE, DistInfo
from ssseg.errors import UserError
from ssseg.losses import weighted_mean
from ssseg.models.segmenter import Segmenter
from ssseg.ops.decouple import decouple_prediction
from ssseg.ops.mix import blend
from ssseg.types import IGNORE, Picture, Unlabeled

Decouple = Literal["soft", "hard"]


class Passes(NamedTuple):
    """What a network makes of a batch of images."""

    pooled: Tensor
    """(B, D), its deepest features averaged over the image."""
    feats: list[Tensor]
    """Feature maps, finest first."""
    logits: Tensor
    """(B, C, H, W)."""

    def split(self, count: int) -> "tuple[Passes, Passes]":
        """What it makes of the first images, and of the rest."""
        first, rest = ([f[part] for f in self.feats] for part in (slice(count), slice(count, None)))
        return (
            Passes(self.pooled[:count], first, self.logits[:count]),
            Passes(self.pooled[count:], rest, self.logits[count:]),
        )


class Pairs(NamedTuple):
    """What is blended: places in two groups of images and the share of the first of each pair."""

    first: Tensor
    """(P,) int64, the images that are subtracted again."""
    second: Tensor
    """(P,) int64, the images whose masks are decoupled."""
    lam: Tensor
    """(P,) in (0, lambda_max)."""


def check_bound(alpha: float, lambda_max: float) -> None:
    """Refuse a law of shares that does not exist.

    Raises:
        UserError: For alpha not above 0, or lambda_max outside (0, 0.5].
    """
    if alpha <= 0 or not 0 < lambda_max <= 0.5:
        raise UserError(
            f"options of guidedmix: alpha is {alpha} and lambda_max {lambda_max}; "
            "expected alpha above 0, and lambda_max in (0, 0.5]"
        )


def see(network: Segmenter, image: Tensor) -> Passes:
    """Features and logits of images (B, C, H, W)."""
    feats = network.encode(image)
    pooled = feats[-1].mean((2, 3))
    return Passes(pooled, feats, network.upsample(network.decoder(feats), image))


def blend_pairs(firsts: Tensor, seconds: Tensor, pairs: Pairs) -> Tensor:
    """`lam * x_l + (1 - lam) * x_u` (Eq. 2) of images or features (B, ...); (P, ...)."""
    return blend(firsts[pairs.first], seconds[pairs.second], pairs.lam)


def decoupled(logits: Tensor, side: Tensor, lam: Tensor, how: Decouple) -> Tensor:
    """What is left of the prediction of blends without their first images (Eq. 7 and 8).

    Args:
        logits: (P, C, H, W), of the blends.
        side: (P, C, H, W) probabilities of the first images.
        lam: (P,), their shares.
        how: They are subtracted times their share (`soft`) or whole (`hard`).

    Returns:
        (P, C, H, W), divided by the other images' share.
    """
    mixed = logits.softmax(1)
    lam = lam.to(mixed.dtype)
    share = lam if how == "soft" else torch.ones_like(lam)
    return decouple_prediction(mixed, side, share, 1 - lam)


def mean(error: Tensor, valid: Tensor, devices: DistInfo = SINGLE) -> Tensor:
    """Mean of an error (P, H, W) over valid pixels of all devices; 0 where there are none."""
    return weighted_mean(error, torch.ones_like(error), valid, "valid", devices)


def figure_columns(
    labeled: tuple[Tensor, Tensor], unlabeled: Unlabeled, pairs: Pairs, scores: dict[str, Tensor]
) -> list[Picture]:
    """The paper's Fig. 5: both images, their blend, and masks.

    Args:
        labeled: Images (N, 3, H, W) and labels (N, H, W).
        unlabeled: Of the step.
        pairs: What is blended.
        scores: (P, C, H, W) by title; their most likely classes are shown.
    """
    (image, label), other = labeled, unlabeled.views[0]
    valid = unlabeled.valid[pairs.second]
    masks = {title: torch.where(valid, s.argmax(1), IGNORE) for title, s in scores.items()}
    return [
        Picture("labeled", "image", image[pairs.first]),
        Picture("its truth", "label", label[pairs.first]),
        Picture("unlabeled", "image", other[pairs.second]),
        Picture("mix", "image", blend_pairs(image, other, pairs)),
        *(Picture(title, "label", mask) for title, mask in masks.items()),
    ]
