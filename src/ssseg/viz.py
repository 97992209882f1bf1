"""Pictures that a person understands: colours with a legend, overlays, galleries of steps."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from torch import Tensor

from ssseg.data.datasets.base import Array, ClassInfo
from ssseg.types import IGNORE, Picture

IGNORE_COLOR = (235, 235, 235)


def colorize(label: Array, classes: Sequence[ClassInfo]) -> Array:
    """Class ids as colours; ignored pixels are light grey.

    Args:
        label: (H, W) integers.
        classes: Names and colours; the id is the place in the list.

    Returns:
        (H, W, 3) uint8.
    """
    palette = np.full((256, 3), IGNORE_COLOR, np.uint8)
    palette[: len(classes)] = [c.color for c in classes]
    return palette[np.where(label > IGNORE, IGNORE, label)]


def displayable(image: Tensor, mean: Sequence[float], std: Sequence[float]) -> Array:
    """A normalised image as something to look at.

    Args:
        image: (C, H, W) float; other than 3 channels: the first one is shown in grey. Images in a
            unit of their own (heights in metres) are shown within 2.5 deviations of their mean.
        mean: Of the normalisation.
        std: Of the normalisation.

    Returns:
        (H, W, 3) uint8.
    """
    pixels = image.detach().float().cpu().numpy().transpose(1, 2, 0)
    if max(np.abs(mean)) <= 1 and max(std) <= 1:
        pixels = pixels * np.asarray(std) + np.asarray(mean)
    else:
        pixels = pixels / 5 + 0.5
    if pixels.shape[-1] != 3:
        pixels = pixels[..., :1].repeat(3, -1)
    out: Array = (pixels.clip(0, 1) * 255).astype(np.uint8)
    return out


def gallery(
    path: Path,
    blocks: Sequence[tuple[str, Sequence[Picture]]],
    classes: Sequence[ClassInfo],
    mean: Sequence[float],
    std: Sequence[float],
    rows: int = 4,
) -> None:
    """Write a PNG of blocks of pictures: one row per image, one titled column per picture.

    Args:
        path: Where to write.
        blocks: Heading and columns of each block.
        classes: For colours and the legend.
        mean: Of the images' normalisation.
        std: Of the images' normalisation.
        rows: At most so many images of each block.
    """
    blocks = [(heading, pictures) for heading, pictures in blocks if pictures]
    counts = [min(rows, len(pictures[0].tensor)) for _, pictures in blocks]
    width = max(len(pictures) for _, pictures in blocks)
    height, length = blocks[0][1][0].tensor.shape[-2:]
    cell = 1.7
    tall = cell * height / length
    figure = Figure(figsize=(width * cell + 0.2, sum(counts) * tall + 0.55 * len(blocks) + 0.6))
    FigureCanvasAgg(figure)
    parts = figure.subfigures(
        len(blocks) + 1,
        1,
        height_ratios=[*(n * tall + 0.55 for n in counts), 0.6],
        squeeze=False,
    )[:, 0]
    for part, count, (heading, pictures) in zip(parts, counts, blocks, strict=False):
        part.suptitle(heading, fontsize=10, x=0.01, ha="left", weight="bold")
        axes = part.subplots(count, width, squeeze=False)
        part.subplots_adjust(0.01, 0.01, 0.99, 1 - 0.5 / (count * tall + 0.55), 0.04, 0.04)
        for axis in axes.flat:
            axis.set_axis_off()
        for column, picture in enumerate(pictures):
            axes[0, column].set_title(picture.title, fontsize=7, pad=3)
            for row in range(count):
                axes[row, column].imshow(picture_pixels(picture, row, classes, mean, std))
    shown = [*classes, ClassInfo("ignored", IGNORE_COLOR)]
    legend = [Patch(color="#" + bytes(c.color).hex(), label=c.name) for c in shown]
    parts[-1].legend(
        handles=legend, ncols=min(len(legend), 2 * width), loc="center", fontsize=7, frameon=False
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def picture_pixels(
    picture: Picture,
    row: int,
    classes: Sequence[ClassInfo],
    mean: Sequence[float],
    std: Sequence[float],
) -> Array:
    """One image of a picture as (H, W, 3) uint8."""
    tensor = picture.tensor[row]
    if picture.kind == "image":
        return displayable(tensor, mean, std)
    values = tensor.detach().cpu().numpy()
    if picture.kind == "label":
        return colorize(values, classes)
    grey: Array = (values.astype(np.float32).clip(0, 1) * 255).astype(np.uint8)
    return grey[..., None].repeat(3, -1)
