"""Pictures for people: class colours with a legend, and galleries of training steps."""

from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from ssseg.data.datasets.base import Array, ClassInfo
from ssseg.types import IGNORE, Picture

IGNORE_COLOR = (235, 235, 235)
CELL, GAP, LINE = 190, 6, 18
"""Width of a cell, gap between cells, height of a text line, in pixels."""
SIDE = 512
"""Longest side of a saved picture, in pixels."""


def reduced(values: Tensor) -> Tensor:
    """An image or a class map, reduced to a longest side of at most `SIDE`.

    Args:
        values: (C, H, W) float, reduced by averaging, or (H, W) integers, reduced by sampling.

    Returns:
        Same dtype; the input itself if it is small enough.
    """
    height, width = values.shape[-2:]
    factor = SIDE / max(height, width)
    if factor >= 1:
        return values
    size = max(1, round(height * factor)), max(1, round(width * factor))
    if values.dim() == 3:
        return F.interpolate(values[None], size, mode="area")[0]
    rows, columns = (
        ((torch.arange(few) + 0.5) * many / few).long()
        for few, many in zip(size, (height, width), strict=True)
    )
    return values[rows.to(values.device)][:, columns.to(values.device)]


def colorize(label: Array, classes: Sequence[ClassInfo]) -> Array:
    """Convert class ids to colours; ignored pixels are light grey.

    Args:
        label: (H, W) integers.
        classes: Names and colours; the id of a class is its index.

    Returns:
        (H, W, 3) uint8.
    """
    palette = np.full((256, 3), IGNORE_COLOR, np.uint8)
    palette[: len(classes)] = [c.color for c in classes]
    return palette[np.where(label > IGNORE, IGNORE, label)]


def displayable(image: Tensor, mean: Sequence[float], std: Sequence[float]) -> Array:
    """Convert a normalised image to RGB for display.

    Args:
        image: (C, H, W) float. If C is not 3, the first channel is shown in grey. Images in another
            unit (heights in metres) are shown within 2.5 standard deviations of the mean.
        mean: Mean of the normalisation, per channel.
        std: Standard deviation of the normalisation, per channel.

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
        path: Path of the PNG file.
        blocks: Heading and columns of each block.
        classes: Names and colours of the classes.
        mean: Mean of the images' normalisation, per channel.
        std: Standard deviation of the images' normalisation, per channel.
        rows: Largest number of images per block.
    """
    blocks = [(heading, pictures) for heading, pictures in blocks if pictures]
    width = max(len(pictures) for _, pictures in blocks) * (CELL + GAP) + GAP
    parts = []
    for heading, pictures in blocks:
        cells = [
            [_cell(picture, row, classes, mean, std) for picture in pictures]
            for row in range(min(rows, len(pictures[0].tensor)))
        ]
        parts.append(_block(heading, [picture.title for picture in pictures], cells, width))
    parts.append(_legend([*classes, ClassInfo("ignored", IGNORE_COLOR)], width))
    sheet = Image.new("RGB", (width, sum(part.height for part in parts)), "white")
    top = 0
    for part in parts:
        sheet.paste(part, (0, top))
        top += part.height
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path, compress_level=1)  # takes half the time of the default and a fifth more bytes


def _cell(
    picture: Picture,
    row: int,
    classes: Sequence[ClassInfo],
    mean: Sequence[float],
    std: Sequence[float],
) -> Image.Image:
    image = Image.fromarray(picture_pixels(picture, row, classes, mean, std))
    # interpolation would create colours between those of two classes
    how = Image.Resampling.BILINEAR if picture.kind == "image" else Image.Resampling.NEAREST
    return image.resize((CELL, max(1, round(CELL * image.height / image.width))), how)


def _block(
    heading: str, titles: Sequence[str], cells: Sequence[Sequence[Image.Image]], width: int
) -> Image.Image:
    tall = max(cell.height for cell in cells[0]) + GAP
    above = 3 * LINE
    block = Image.new("RGB", (width, above + len(cells) * tall), "white")
    draw = ImageDraw.Draw(block)
    draw.text((GAP, LINE), heading, "black", _font(15, "-Bold"), "lm")
    for column, title in enumerate(titles):
        left = GAP + column * (CELL + GAP)
        size = min(11.0, 11 * CELL / _font(11).getlength(title or " "))
        draw.text((left + CELL / 2, above - LINE / 2), title, "black", _font(size), "mm")
        for row, line in enumerate(cells):
            top, cell = above + row * tall, line[column]
            block.paste(cell, (left, top))
            # makes a white mask visible on the white background
            frame = (left - 1, top - 1, left + cell.width, top + cell.height)
            draw.rectangle(frame, None, "silver")
    return block


def _legend(classes: Sequence[ClassInfo], width: int) -> Image.Image:
    font, swatch = _font(11), LINE - 4
    step = max(font.getlength(c.name) for c in classes) + 2 * swatch + 2 * GAP
    columns = min(len(classes), max(1, int((width - GAP) // step)))
    legend = Image.new("RGB", (width, LINE * (-(-len(classes) // columns)) + 2 * GAP), "white")
    draw = ImageDraw.Draw(legend)
    for place, known in enumerate(classes):
        left, top = GAP + int(place % columns * step), GAP + place // columns * LINE
        draw.rectangle((left, top, left + 2 * swatch, top + swatch), known.color, "silver")
        draw.text((left + 2 * swatch + GAP, top + swatch / 2), known.name, "black", font, "lm")
    return legend


@cache
def _font(size: float, style: str = "") -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """The font in matplotlib's package, which has more letters than Pillow's default font."""
    spec = find_spec("matplotlib")
    assert spec is not None
    assert spec.origin is not None
    fonts = Path(spec.origin).parent / "mpl-data" / "fonts" / "ttf"
    try:
        return ImageFont.truetype(str(fonts / f"DejaVuSans{style}.ttf"), size)
    except OSError:  # matplotlib packages of some systems do not contain the fonts
        return ImageFont.load_default(size)


def picture_pixels(
    picture: Picture,
    row: int,
    classes: Sequence[ClassInfo],
    mean: Sequence[float],
    std: Sequence[float],
) -> Array:
    """Image number `row` of a picture as (H, W, 3) uint8."""
    tensor = picture.tensor[row]
    if picture.kind == "image":
        return displayable(tensor, mean, std)
    values = tensor.detach().cpu().numpy()
    if picture.kind == "label":
        return colorize(values, classes)
    grey: Array = (values.astype(np.float32).clip(0, 1) * 255).astype(np.uint8)
    return grey[..., None].repeat(3, -1)
