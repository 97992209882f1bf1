"""Maps of how wrong a prediction is (GCT, Ke et al., ECCV 2020)."""

import torch
import torch.nn.functional as F
from torch import Tensor

from ssseg.ops.decouple import one_hot
from ssseg.ops.photometric import blur_matrix, full_precision
from ssseg.types import IGNORE

LEAST = 0.1
"""Largest flaw of an image, up to which the image counts as without flaws."""

FLAT = 1e-4
"""Share of its largest value by which a constant map may vary."""


def smooth(maps: Tensor, part: int) -> Tensor:
    """Gaussian blur of maps (B, H, W) whose kernel is a part of their side.

    The kernel has k values, the side divided by `part` and made odd, and a standard deviation of
    `0.3 ((k - 1) / 2 - 1) + 0.8`. Maps are mirrored at their ends.

    Args:
        maps: (B, H, W) float.
        part: Divisor of the smaller side.
    """
    height, width = maps.shape[-2:]
    extent = (min(height, width) // part | 1) // 2
    sigma = torch.full((1,), 0.3 * (extent - 1) + 0.8, device=maps.device)
    with full_precision(maps.device):
        rows, cols = (blur_matrix(n, sigma, extent).to(maps.dtype) for n in (height, width))
        return rows @ maps @ cols.mT


def stretched(maps: Tensor) -> Tensor:
    """Maps (B, H, W), each scaled so that its values are from 0 to 1; 0 for constant maps."""
    least, largest = maps.amin((1, 2), keepdim=True), maps.amax((1, 2), keepdim=True)
    span = largest - least
    # a blurred constant is not constant to the last bit
    varies = span > FLAT * largest.abs()
    return torch.where(varies, (maps - least) / torch.where(varies, span, 1), 0)


def flaw_truth(probs: Tensor, label: Tensor) -> Tensor:
    """How wrong predictions are, as an area and not pixel by pixel, (B, H, W) float in [0, 1].

    Half of the absolute difference to the label, summed over the classes; blurred, dilated by
    3 x 3, blurred again and stretched.

    Args:
        probs: (B, C, H, W) float, each pixel sums to 1.
        label: (B, H, W) int64; no flaw where IGNORE.
    """
    error = 0.5 * (one_hot(label, probs) - probs).abs().sum(1)
    area = smooth(error.masked_fill(label == IGNORE, 0), 8)
    return stretched(smooth(F.max_pool2d(area, 3, stride=1, padding=1), 4))


def cleaned(flaws: Tensor, counted: Tensor) -> Tensor:
    """Detected flaws (B, H, W), made comparable between networks: in [0, 1], no gradient.

    Negative values are 0, maps are blurred, maps without a value above 0.1 are 0, the others are
    stretched.

    Args:
        flaws: (B, H, W) float, the output of a flaw detector.
        counted: (B, H, W) bool; other pixels are 0.
    """
    area = smooth(flaws.detach().clamp_min(0) * counted, 16)
    flawed = area.amax((1, 2), keepdim=True) > LEAST
    return torch.where(flawed, stretched(area), 0) * counted
