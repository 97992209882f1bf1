"""Random pixels of every class."""

import torch
from torch import Tensor

from ssseg.distributed import sum_dtype


def first_per_class(
    group: Tensor, draw: Tensor, num_classes: int, most: int
) -> tuple[Tensor, Tensor]:
    """The elements of each class with the smallest draws; a random sample for random draws.

    Args:
        group: (N,) int64, class of each element; `num_classes` for elements of none.
        draw: (N,) float in [0, 1).
        num_classes: Number of classes C.
        most: Number of elements K of each class that are taken, if there are so many.

    Returns:
        Indices (C, K) int64 in the order of the draws, and (C, K) bool, True where there is such an
        element; other indices are 0.
    """
    order = (group + draw.to(sum_dtype(draw.device))).argsort(stable=True)
    sorted_group = group[order]
    counts = torch.zeros(num_classes + 1, dtype=torch.int64, device=group.device)
    counts = counts.scatter_add(0, group, torch.ones_like(group))
    starts = counts.cumsum(0) - counts
    rank = torch.arange(len(group), device=group.device) - starts[sorted_group]
    taken = (rank < most) & (sorted_group < num_classes)
    place = torch.where(taken, sorted_group * most + rank, num_classes * most)
    room = torch.zeros(num_classes * most + 1, dtype=torch.int64, device=group.device)
    index = room.scatter(0, place, order.where(taken, 0))[:-1].view(num_classes, most)
    return index, torch.arange(most, device=group.device) < counts[:-1, None]


def at_grid(label: Tensor, padded: tuple[int, int], grid: tuple[int, int], fill: int) -> Tensor:
    """Labels at the centres of the cells of a coarser or finer grid.

    Args:
        label: (B, H, W) int64.
        padded: Height and width that the grid covers; at least H and W.
        grid: Rows and columns.
        fill: Label of what is padded.

    Returns:
        (B, *grid) int64.
    """
    (height, width), (rows, cols) = padded, grid
    bottom, right = height - label.shape[1], width - label.shape[2]
    label = torch.nn.functional.pad(label, (0, right, 0, bottom), value=fill)
    y = (2 * torch.arange(rows, device=label.device) + 1) * height // (2 * rows)
    x = (2 * torch.arange(cols, device=label.device) + 1) * width // (2 * cols)
    return label[:, y[:, None], x]
