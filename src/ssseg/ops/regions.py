"""Regions of similar features, and the label of a whole region (CorrMatch)."""

import torch
import torch.nn.functional as F
from torch import Tensor

from ssseg.ops.photometric import full_precision
from ssseg.ops.random import Rng, uniform


def random_regions(
    similarity: Tensor,
    grid: tuple[int, int],
    size: tuple[int, int],
    count: int,
    *,
    generator: Rng = None,
) -> Tensor:
    """The surroundings of random positions: where the similarity to them is above its mid-range.

    A map of similarities is resized and scaled so that it reaches from 0 to 1; the region is where
    it is above 0.5. A map without differences gives no region.

    Args:
        similarity: (B, N, N) float, similarity of position i (row) to position j (column).
        grid: Rows and columns of the N positions.
        size: Height and width of the regions.
        count: Regions per image.
        generator: Source of randomness.

    Returns:
        (B, count, *size) bool; no gradient.
    """
    batch, positions = similarity.shape[:2]
    draw = uniform((batch, count), generator, device=similarity.device)
    chosen = (draw * positions).long().clamp_max(positions - 1)
    maps = similarity.detach().gather(1, chosen[..., None].expand(-1, -1, positions))
    maps = maps.float().view(batch, count, *grid)
    maps = F.interpolate(maps, size, mode="bilinear", align_corners=False)
    low, high = maps.amin((2, 3), keepdim=True), maps.amax((2, 3), keepdim=True)
    # differences of rounding are none
    return (maps - low > 0.5 * (high - low)) & (high - low > 1e-5 * high)


def region_labels(
    label: Tensor, trusted: Tensor, regions: Tensor, level: Tensor, num_classes: int
) -> tuple[Tensor, Tensor]:
    """The label that nearly all trusted pixels of a region have, for the whole region.

    A region has such a label if its share of trusted pixels is at least `level` and the most
    frequent label has more than this share of them. Where several such regions overlap, the last
    one counts.

    Args:
        label: (B, H, W) int64; ids outside [0, num_classes) are not counted.
        trusted: (B, H, W) bool.
        regions: (B, R, H, W) bool.
        level: Scalar in [0, 1].
        num_classes: Number of classes C.

    Returns:
        Labels (B, H, W) int64, and where a region has one, (B, H, W) bool.
    """
    counted = trusted & (label >= 0) & (label < num_classes)
    place = torch.where(counted, label, num_classes).flatten(1)[:, None]
    sure = torch.zeros(len(label), num_classes + 1, place.shape[-1], device=label.device)
    sure = sure.scatter(1, place, 1.0)[:, :num_classes]
    inside = regions.flatten(2).float()
    with full_precision(label.device):
        counts = inside @ sure.mT
    (most, winner), total = counts.max(2), counts.sum(2)
    passed = (total >= level * inside.sum(2)) & (most > level * total)
    order = torch.arange(1, regions.shape[1] + 1, device=label.device)
    last = (regions & passed[..., None, None]).mul(order[:, None, None]).amax(1)
    found = winner.gather(1, (last - 1).clamp_min(0).flatten(1)).view_as(label)
    return found, last > 0
