"""Slow, obvious oracles of the mask operators: loops over images, blocks, classes and pixels.

They take their random numbers as arguments, so that a test can draw the very numbers that the
vectorized code draws. Arrays in, arrays out; nothing here knows torch.
"""

import math

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.stats import norm


def select_half(candidates, keys, rounding="floor", coin=False):
    """The half of the candidate classes that has the smallest keys."""
    ordered = sorted(candidates, key=lambda c: keys[c])
    count = len(ordered)
    half = {"floor": count // 2, "ceil": math.ceil(count / 2), "random": (count + int(coin)) // 2}
    return set(ordered[: half[rounding]])


def class_mask(label, num_classes, keys, rounding="floor"):
    """Mask of half of the classes of every image; `keys` is (B, C)."""
    mask = np.zeros(label.shape, dtype=bool)
    for b, image in enumerate(label):
        present = [c for c in np.unique(image) if 0 <= c < num_classes]
        selected = select_half(present, keys[b], rounding)
        for place in np.ndindex(image.shape):
            mask[b][place] = image[place] in selected
    return mask[:, None]


def edges(length, parts):
    """Where the parts of an axis begin and end: part i is [edges[i], edges[i + 1])."""
    return [math.ceil(i * length / parts) for i in range(parts + 1)]


def block_class_mask(
    label, num_classes, keys, rows, cols, class_pool="present", rounding="floor", coins=None
):
    """Class masks of every block of a grid; `keys` is (B, rows * cols, C), `coins` without C."""
    _, height, width = label.shape
    top, left = edges(height, rows), edges(width, cols)
    mask = np.zeros(label.shape, dtype=bool)
    for b in range(len(label)):
        for r in range(rows):
            for c in range(cols):
                block = r * cols + c
                area = np.s_[b, top[r] : top[r + 1], left[c] : left[c + 1]]
                candidates = range(num_classes)
                if class_pool == "present":
                    candidates = [k for k in np.unique(label[area]) if 0 <= k < num_classes]
                coin = coins is not None and coins[b, block]
                selected = select_half(candidates, keys[b, block], rounding, coin)
                mask[area] = np.isin(label[area], list(selected))
    return mask[:, None]


def box_mask(draw, height, width, area):
    """Rectangles that toggle each other; `draw` is (3, B, boxes): shape, row and column."""
    _, batch, num_boxes = draw.shape
    scale = math.sqrt(1 / num_boxes)
    mask = np.zeros((batch, 1, height, width), dtype=bool)
    for b in range(batch):
        for n in range(num_boxes):
            u, down, right = (float(value) for value in draw[:, b, n])
            rows = round(height * area**u * scale)
            cols = round(width * area ** (1 - u) * scale)
            top, left = round((height - rows) * down), round((width - cols) * right)
            for y in range(top, top + rows):
                for x in range(left, left + cols):
                    mask[b, 0, y, x] = not mask[b, 0, y, x]
    return mask


def ratio_boxes(rng, batch, height, width, area, ratio):
    """UniMatch's boxes as (top, left, rows, columns), drawn until each lies in the image."""
    found = []
    for _ in range(batch):
        pixels = rng.uniform(*area) * height * width
        while True:
            r = rng.uniform(*ratio)
            rows, cols = int(math.sqrt(pixels * r)), int(math.sqrt(pixels / r))
            top, left = int(rng.integers(height)), int(rng.integers(width))
            if top + rows <= height and left + cols <= width:
                break
        found.append((top, left, rows, cols))
    return found


def cow_mask(noise, sigma, share, reach):
    """Smoothed noise under a threshold; `noise` (B, H, W), `sigma` (B,), `reach` in pixels."""
    masks = []
    for field, width in zip(noise, sigma, strict=True):
        smooth = gaussian_filter(field, width, mode="reflect", truncate=reach / width)
        masks.append(smooth <= norm.ppf(share, smooth.mean(), smooth.std()))
    return np.stack(masks)[:, None]


def mix(part, partner, mask):
    """Every pixel from the sample or from its partner; `part` is (B, H, W) or (B, C, H, W)."""
    mixed = np.empty_like(part)
    batch, _, height, width = mask.shape
    for b in range(batch):
        for y in range(height):
            for x in range(width):
                source = b if mask[b, 0, y, x] else partner[b]
                mixed[b, ..., y, x] = part[source, ..., y, x]
    return mixed
