"""Drawn objects at any position: few classes per image, one large background, as in PASCAL VOC.

A class is defined by its shape. It usually has a typical texture, and a range of colours that
overlaps with those of other classes. Backgrounds and clutter use the same textures and colours.
"""

import numpy as np

from ssseg.data.datasets import synthetic
from ssseg.data.datasets.base import Array, ClassInfo
from ssseg.data.datasets.synthetic import SyntheticSource


class Objects(SyntheticSource):
    """One to three objects of 5 classes on a background; 16 of 512 scenes are labeled."""

    name = "objects"
    stream = 2
    labeled = "16"
    classes = (
        ClassInfo("background", (0, 0, 0)),
        ClassInfo("disc", (220, 60, 60)),
        ClassInfo("box", (60, 160, 220)),
        ClassInfo("triangle", (90, 200, 90)),
        ClassInfo("star", (240, 200, 60)),
        ClassInfo("ring", (180, 90, 220)),
    )

    def draw(self, rng: np.random.Generator) -> tuple[Array, Array]:
        """Draw the background, clutter of class background, then objects from back to front."""
        size = self.size
        image = np.zeros((size, size, 3), np.float32)
        label = np.zeros((size, size), np.uint8)
        everything = np.ones((size, size), bool)
        tint = synthetic.color(rng, (0, 1), (0, 0.4), (0.1, 0.95))
        texture = _texture(rng, size, 1 if rng.random() < 0.6 else None)
        synthetic.fill(image, everything, tint, texture, rng.uniform(0.02, 0.12))
        for _ in range(rng.integers(0, 3)):
            bar, tint = _bar(rng, size), synthetic.color(rng, (0, 1), (0, 0.6), (0.1, 1))
            synthetic.fill(image, bar, tint, _texture(rng, size), rng.uniform(0.02, 0.15))
        for _ in range(rng.integers(1, 4)):
            kind = int(rng.integers(1, 6))
            inside = _object(rng, size, kind)
            hue = kind / 5 + rng.normal(0, 0.07)
            tint = synthetic.color(rng, (hue, hue), (0.45, 1), (0.4, 1))
            texture = _texture(rng, size, kind if rng.random() < 0.9 else None)
            synthetic.fill(image, inside, tint, texture, rng.uniform(0.1, 0.25))
            label[inside] = kind
        return synthetic.weather(rng, image), label


def _texture(rng: np.random.Generator, size: int, kind: int | None = None) -> Array:
    """The typical texture of a class, or a random one if `kind` is None."""
    unit, angle = size / 64, rng.uniform(0, np.pi)
    kind = int(rng.integers(1, 6)) if kind is None else kind
    if kind == 1:
        return synthetic.noise(rng, size, rng.uniform(8, 20) * unit)
    if kind == 2:
        return synthetic.stripes(rng, size, rng.uniform(4, 9) * unit, angle)
    if kind == 3:
        return synthetic.noise(rng, size, rng.uniform(1, 2.5) * unit)
    if kind == 4:
        return synthetic.checks(rng, size, rng.uniform(4, 9) * unit, angle)
    return synthetic.noise(rng, size, rng.uniform(3, 6) * unit)


def _bar(rng: np.random.Generator, size: int) -> Array:
    """A long thin strip, (size, size) bool: clutter with edges and textures like the objects."""
    center, angle = rng.uniform(0, size, 2), rng.uniform(0, np.pi)
    along = np.array([np.cos(angle), np.sin(angle)]) * size
    across = np.array([-np.sin(angle), np.cos(angle)]) * rng.uniform(0.01, 0.03) * size
    return synthetic.polygon(
        size,
        np.stack(
            [center + a * along + b * across for a, b in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
        ),
    )


def _object(rng: np.random.Generator, size: int, kind: int) -> Array:
    radius = rng.uniform(0.14, 0.3) * size
    center = rng.uniform(0.12, 0.88, 2) * size
    turn = rng.uniform(0, 2 * np.pi)
    squeeze = rng.uniform(0.7, 1)
    if kind == 1:
        return _outline(size, center, np.full(40, radius), turn, squeeze)
    if kind == 2:
        return _outline(size, center, np.full(4, radius * 1.15), turn, squeeze)
    if kind == 3:
        return _outline(size, center, np.full(3, radius * 1.25), turn, squeeze)
    if kind == 4:
        spikes = np.tile([1.25, 0.55], 5) * radius
        return _outline(size, center, spikes, turn, squeeze)
    outer = _outline(size, center, np.full(40, radius), turn, squeeze)
    inner = _outline(size, center, np.full(40, radius * rng.uniform(0.45, 0.6)), turn, squeeze)
    return outer & ~inner


def _outline(size: int, center: Array, radii: Array, turn: float, squeeze: float) -> Array:
    """A polygon with these distances of its corners to the center, rotated and compressed."""
    angle = np.linspace(0, 2 * np.pi, len(radii), endpoint=False)
    x, y = radii * np.cos(angle), radii * np.sin(angle) * squeeze
    cos, sin = np.cos(turn), np.sin(turn)
    return synthetic.polygon(
        size, np.stack([center[0] + cos * x - sin * y, center[1] + sin * x + cos * y], 1)
    )
