"""What both GuidedMix methods share: passes of a network, pairs of images, their blends."""

from typing import Literal, NamedTuple

import torch
from torch import Tensor

from ssseg.distributed import SINGLE, DistInfo
from ssseg.errors import UserError
from ssseg.losses import weighted_mean
from ssseg.models.segmenter import Segmenter
from ssseg.ops.mix import blend, most_similar, random_candidates, roll_pairs
from ssseg.types import IGNORE, Batch, Picture, Step

PairRule = Literal["similar", "similar_unlabeled", "random"]


class Passes(NamedTuple):
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


def blend_pairs(values: Tensor, pairs: Pairs) -> Tensor:
    """`lam * x_l + (1 - lam) * x_u` (Eq. 2) of images or features (B, ...); (P, ...)."""
    return blend(values[pairs.first], values[pairs.second], pairs.lam)


def pair_with_unlabeled(
    pooled: Tensor, labeled: int, rule: PairRule, step: Step
) -> tuple[Tensor, Tensor]:
    """Labeled images with unlabeled ones (LUPI, Eq. 3).

    Args:
        pooled: (B, D) features; the labeled images come first.
        labeled: How many they are.
        rule: `similar`: the nearest labeled image of every unlabeled one; `similar_unlabeled`: the
            nearest unlabeled image of every labeled one; `random`: a labeled image by chance.
        step: With its generator.

    Returns:
        Places in the batch of the labeled and of the unlabeled images, (P,) int64 each.
    """
    ours, theirs = pooled[:labeled], pooled[labeled:]
    if rule == "similar_unlabeled":
        return _places(ours), labeled + most_similar(ours, theirs)
    if rule == "similar":
        return most_similar(theirs, ours), labeled + _places(theirs)
    first = random_candidates(len(theirs), labeled, generator=step.generator, device=pooled.device)
    return first, labeled + _places(theirs)


def pair_among_labeled(pooled: Tensor, rule: PairRule) -> tuple[Tensor, Tensor]:
    """Every labeled image (B, D) with another one, by the same rule; places, (B,) int64 each."""
    if rule == "random":
        second = roll_pairs(len(pooled), pooled.device)  # their order in the batch is random
    else:
        second = most_similar(pooled, pooled, others=True)
    return _places(pooled), second


def mean(error: Tensor, valid: Tensor, devices: DistInfo = SINGLE) -> Tensor:
    """Mean of an error (P, H, W) over valid pixels of all devices; 0 where there are none."""
    return weighted_mean(error, torch.ones_like(error), valid, "valid", devices)


def figure_columns(batch: Batch, pairs: Pairs, scores: dict[str, Tensor]) -> list[Picture]:
    """The paper's Fig. 5: both images, their blend, and masks.

    Args:
        batch: Of the step.
        pairs: What is blended.
        scores: (P, C, H, W) by title; their most likely classes are shown.
    """
    labeled = len(batch.labeled.image)
    images = torch.cat((batch.labeled.image, batch.unlabeled.views[0]))
    valid = batch.unlabeled.valid[pairs.second - labeled]
    masks = {title: torch.where(valid, s.argmax(1), IGNORE) for title, s in scores.items()}
    return [
        Picture("labeled", "image", images[pairs.first]),
        Picture("its truth", "label", batch.labeled.label[pairs.first]),
        Picture("unlabeled", "image", images[pairs.second]),
        Picture("mix", "image", blend_pairs(images, pairs)),
        *(Picture(title, "label", mask) for title, mask in masks.items()),
    ]


def _places(rows: Tensor) -> Tensor:
    return torch.arange(len(rows), device=rows.device)
