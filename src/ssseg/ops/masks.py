"""Mixing masks: the pixels that an image keeps.

Every function returns a bool tensor of shape (B, 1, H, W): True = this image's pixel, False = the
partner's pixel. All functions work for any B, H, W (odd, small, smaller than the number of blocks)
and on any device. They draw from the given `generator` (None: torch's default generator of the
device).
"""

import math
from statistics import NormalDist
from typing import Literal

import torch
from torch import Tensor

from ssseg.distributed import sum_dtype
from ssseg.ops.photometric import blur_matrix, full_precision
from ssseg.ops.random import Rng, normal, uniform

Rounding = Literal["floor", "ceil", "random"]
ClassPool = Literal["present", "all"]
Grid = Literal["per_side", "total"]
Size = tuple[int, int, int]
CANDIDATES = 64
"""Ratios of height and width that `ratio_box_mask` chooses from."""


def box_mask(
    size: Size,
    area: float | tuple[float, float] = 0.5,
    num_boxes: int = 1,
    *,
    generator: Rng = None,
    device: torch.device | str | None = None,
) -> Tensor:
    """Rectangles that cover a fixed share of the image (French et al., BMVC 2020).

    The shape is log-uniform: with U uniform in [0, 1), the height is `H * area**U`, the width
    `W * area**(1 - U)`; the position is uniform with the box inside the image. Several boxes
    (each scaled by `sqrt(1 / num_boxes)`) toggle each other where they overlap.

    Args:
        size: (B, H, W) of the masks.
        area: Share of the image that one box covers, in (0, 1]. Two numbers: the share of each box
            is uniform between them (CPS: 0.25 to 0.5).
        num_boxes: Boxes per image.
        generator: Source of randomness.
        device: Device of the mask.

    Returns:
        (B, 1, H, W) bool, True inside the boxes.

    Raises:
        ValueError: For an `area` outside (0, 1] or fewer than one box.
    """
    low, high = area if isinstance(area, tuple) else (area, area)
    if not 0 < low <= high <= 1:
        raise ValueError(f"area must lie in (0, 1], got {area}")
    if num_boxes < 1:
        raise ValueError(f"num_boxes must be at least 1, got {num_boxes}")
    batch, height, width = size
    ranged = low < high
    shape, dtype = (3 + ranged, batch, num_boxes), sum_dtype(device)
    draw = uniform(shape, generator, batch=1, device=device, dtype=dtype)
    covered = low + (high - low) * draw[3] if ranged else low
    scale = math.sqrt(1 / num_boxes)
    share = covered ** draw[0]
    rows = (height * share * scale).round()
    cols = (width * covered / share * scale).round()
    top = ((height - rows) * draw[1]).round()
    left = ((width - cols) * draw[2]).round()
    y = _inside(height, top, rows)
    x = _inside(width, left, cols)
    boxes = y[..., :, None] & x[..., None, :]
    return (boxes.sum(1, keepdim=True) % 2).bool()


def half_box_mask(
    size: Size,
    *,
    generator: Rng = None,
    device: torch.device | str | None = None,
) -> Tensor:
    """The CutMix rectangle of the released ClassMix code: half of the image is cut out.

    The width is uniform in {W // 2, ..., W}, the height is `round(H * W / 2 / width)`, at most H,
    and the position is uniform inside the image. (The released code has no upper limit for the
    height and fails for odd widths.)

    Args:
        size: (B, H, W) of the masks.
        generator: Source of randomness.
        device: Device of the mask.

    Returns:
        (B, 1, H, W) bool, False inside the rectangle.
    """
    batch, height, width = size
    draw = uniform((3, batch, 1), generator, batch=1, device=device, dtype=sum_dtype(device))
    least = max(1, width // 2)
    cols = least + (draw[0] * (width - least + 1)).floor()
    rows = (height * width / 2 / cols).round().clamp_max(height)
    left = ((width - cols + 1) * draw[1]).floor()
    top = ((height - rows + 1) * draw[2]).floor()
    return ~(_inside(height, top, rows)[..., :, None] & _inside(width, left, cols)[..., None, :])


def ratio_box_mask(
    size: Size,
    probability: float = 0.5,
    area: tuple[float, float] = (0.02, 0.4),
    ratio: tuple[float, float] = (0.3, 1 / 0.3),
    *,
    generator: Rng = None,
    device: torch.device | str | None = None,
) -> Tensor:
    """The CutMix rectangle of UniMatch and the methods around it, in some of the images.

    With `a` uniform in `area`, an image of H x W pixels gets a box of `floor(sqrt(a H W r))` rows
    and `floor(sqrt(a H W / r))` columns. The released code draws the ratio `r` (uniform in `ratio`)
    and a corner (uniform in the image) until the box lies inside the image. So the density of `r`
    is proportional to the number of corners from which the box fits, and the corner is uniform
    among those. Here both are drawn directly: `r` from evenly spaced candidates with a random
    offset. About three of four boxes are taller than wide.

    Args:
        size: (B, H, W) of the masks.
        probability: How often an image gets a box, in [0, 1].
        area: Smallest and largest share of the image that a box covers, in (0, 1].
        ratio: Smallest and largest ratio of height and width.
        generator: Source of randomness.
        device: Device of the mask.

    Returns:
        (B, 1, H, W) bool, True inside the box. No box where none of the candidates fits, as in
        images that are much longer than wide.

    Raises:
        ValueError: For a `probability`, `area` or `ratio` outside its range.
    """
    if not 0 <= probability <= 1:
        raise ValueError(f"probability must lie in [0, 1], got {probability}")
    if not 0 < area[0] <= area[1] <= 1:
        raise ValueError(f"area must be two increasing numbers in (0, 1], got {area}")
    if not 0 < ratio[0] <= ratio[1]:
        raise ValueError(f"ratio must be two increasing positive numbers, got {ratio}")
    batch, height, width = size
    draw = uniform((6, batch, 1), generator, batch=1, device=device, dtype=sum_dtype(device))
    pixels = height * width * (area[0] + (area[1] - area[0]) * draw[0])
    steps = (torch.arange(CANDIDATES, device=device) + draw[1]) / CANDIDATES
    candidates = ratio[0] + (ratio[1] - ratio[0]) * steps
    rows, cols = (pixels * candidates).sqrt().floor(), (pixels / candidates).sqrt().floor()
    down, right = (height - rows + 1).clamp(0, height), (width - cols + 1).clamp(0, width)
    corners = (down * right).cumsum(1)
    # clamped, because a product that is rounded up may be the number of all corners itself
    chosen = torch.searchsorted(corners, draw[2] * corners[:, -1:], right=True)
    chosen = chosen.clamp_max(CANDIDATES - 1)
    rows, cols, down, right = (part.gather(1, chosen) for part in (rows, cols, down, right))
    top, left = (draw[3] * down).floor(), (draw[4] * right).floor()
    box = _inside(height, top, rows)[..., :, None] & _inside(width, left, cols)[..., None, :]
    wanted = (draw[5] < probability) & (corners[:, -1:] > 0)
    return box & wanted[..., None, None]


def _inside(length: int, start: Tensor, extent: Tensor) -> Tensor:
    """Positions 0..length-1 within [start, start + extent): (..., length) bool."""
    position = torch.arange(length, device=start.device)
    return (position >= start[..., None]) & (position < (start + extent)[..., None])


def cow_mask(
    size: Size,
    share: float = 0.5,
    sigma: tuple[float, float] = (8.0, 32.0),
    *,
    generator: Rng = None,
    device: torch.device | str | None = None,
) -> Tensor:
    """Cow-spotted regions: smoothed noise under a threshold (French et al., "Milking CowMask").

    Normal noise is blurred by a Gaussian whose sigma is log-uniform in `sigma` (one draw per image)
    and thresholded at `mean + std * sqrt(2) * erfinv(2 * share - 1)` of that image: about `share`
    of the mask is True. Borders are mirrored, as in the published code. The variance is larger near
    borders, so for a `share` other than 0.5 the expected share differs slightly there.
    (The released ClassMix code uses the opposite side of the threshold, a share of `1 - share`.)

    Args:
        size: (B, H, W) of the masks.
        share: Expected share of True, in [0, 1].
        sigma: Smallest and largest standard deviation of the blur, in pixels.
        generator: Source of randomness.
        device: Device of the mask.

    Returns:
        (B, 1, H, W) bool.

    Raises:
        ValueError: For a `share` outside [0, 1], or a `sigma` that is not positive and increasing.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"share must lie in [0, 1], got {share}")
    if not 0 < sigma[0] <= sigma[1]:
        raise ValueError(f"sigma must be two increasing positive numbers, got {sigma}")
    batch, height, width = size
    if share in (0, 1):  # the normal quantile is infinite there
        return torch.full((batch, 1, height, width), share == 1, device=device)
    level = NormalDist().inv_cdf(share)
    noise = normal((batch, height, width), generator, device=device)
    low, high = math.log(sigma[0]), math.log(sigma[1])
    draw = uniform((batch,), generator, device=device)
    radius = (low + (high - low) * draw).exp()
    extent = math.ceil(4 * sigma[1])
    with full_precision(noise.device):
        smooth = blur_matrix(height, radius, extent) @ noise @ blur_matrix(width, radius, extent).mT
    mean, std = smooth.mean((1, 2), keepdim=True), smooth.std((1, 2), keepdim=True, correction=0)
    return (smooth <= mean + level * std)[:, None]


def class_mask(
    label: Tensor,
    num_classes: int,
    rounding: Rounding = "floor",
    *,
    generator: Rng = None,
) -> Tensor:
    """Select all pixels of half of the classes that occur in each image (ClassMix, Algorithm 1).

    Ids outside [0, num_classes) are never selected and not counted. An image with one class keeps
    no pixel under `floor` (the published rule) and all pixels under `ceil` (DACS).

    Args:
        label: (B, H, W) int64 class ids, usually the teacher's argmax.
        num_classes: Number of classes C.
        rounding: How half of an odd number of classes is rounded.
        generator: Source of randomness.

    Returns:
        (B, 1, H, W) bool, constant on every class of every image.
    """
    return block_class_mask(label, num_classes, 1, "present", rounding, generator=generator)


def block_class_mask(
    label: Tensor,
    num_classes: int,
    blocks: int,
    class_pool: ClassPool = "present",
    rounding: Rounding = "floor",
    grid: Grid = "per_side",
    *,
    generator: Rng = None,
) -> Tensor:
    """Class masks drawn independently in every block of a grid (ComplexMix, section 2).

    Args:
        label: (B, H, W) int64 class ids; ids outside [0, num_classes) are never selected.
        num_classes: Number of classes C.
        blocks: The paper's p: blocks per side (`per_side`) or in total (`total`; rows and columns
            are the factor pair whose blocks are closest to squares).
        class_pool: `present` keeps half of the classes that occur in the block (the paper's
            introduction); `all` keeps half of all C classes, present or not (its section 2).
        rounding: How half of an odd number of classes is rounded; `random` is floor or ceil with
            probability 1/2 each.
        grid: What `blocks` counts.
        generator: Source of randomness.

    Returns:
        (B, 1, H, W) bool, constant on every class of every block. With one block this is
        `class_mask`.

    Raises:
        ValueError: For fewer than one block.
    """
    batch, height, width = label.shape
    rows, cols = grid_shape(blocks, height, width, grid)
    num_blocks = rows * cols
    device = label.device
    slots = num_classes + 2  # the first and the last slot are for ids that cannot be selected
    # one flat index per pixel, updated in place, because these passes take most of the time
    index = label.clamp(-1, num_classes)
    image = torch.arange(batch, device=device)[:, None, None] * num_blocks
    y, x = block_rows_cols(height, width, rows, cols, device)
    index += (image + y[:, None] * cols) * slots + 1
    index += x * slots
    index = index.flatten()

    inside = (batch, num_blocks, slots)
    present = torch.ones(batch, num_blocks, num_classes, dtype=torch.bool, device=device)
    if class_pool == "present":
        seen = torch.zeros(batch * num_blocks * slots, dtype=torch.bool, device=device)
        present = seen.index_fill_(0, index, True).view(inside)[..., 1:-1]
    keys = uniform((batch, num_blocks, num_classes), generator, device=device)
    order = keys.masked_fill_(~present, math.inf).argsort(-1)
    half = _half(present.sum(-1, keepdim=True), rounding, generator)
    first = torch.arange(num_classes, device=device) < half
    chosen = torch.zeros(inside, dtype=torch.bool, device=device)
    chosen[..., 1:-1].scatter_(2, order, first)
    return chosen.flatten().index_select(0, index).view(batch, 1, height, width)


def _half(count: Tensor, rounding: Rounding, generator: Rng) -> Tensor:
    if rounding == "floor":
        return count // 2
    if rounding == "ceil":
        return (count + 1) // 2
    coin = uniform(count.shape, generator, device=count.device) < 0.5
    return (count + coin) // 2


def grid_shape(blocks: int, height: int, width: int, grid: Grid = "per_side") -> tuple[int, int]:
    """Rows and columns of the grid of `blocks` for an image of `height` x `width` pixels.

    Raises:
        ValueError: For fewer than one block.
    """
    if blocks < 1:
        raise ValueError(f"blocks must be at least 1, got {blocks}")
    if grid == "per_side":
        return blocks, blocks
    pairs = [(r, blocks // r) for r in range(1, blocks + 1) if blocks % r == 0]
    return min(pairs, key=lambda pair: abs(math.log((height / pair[0]) / (width / pair[1]))))


def block_rows_cols(
    height: int, width: int, rows: int, cols: int, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Block row of every y (H,) and block column of every x (W,), int64.

    The sides of the blocks differ by at most 1 pixel.
    """
    y = torch.arange(height, device=device) * rows // height
    x = torch.arange(width, device=device) * cols // width
    return y, x
