"""Drawn street scenes: many classes per image in a fixed layout, as in Cityscapes.

Colours, light and weather of a class vary more than a few labeled scenes can show; its position,
shape and texture are typical. Therefore unlabeled scenes help.
"""

import numpy as np

from ssseg.data.datasets import synthetic
from ssseg.data.datasets.base import Array, ClassInfo
from ssseg.data.datasets.synthetic import SyntheticSource

SKY, BUILDING, ROAD, SIDEWALK, TREE, CAR, PERSON, POLE = range(8)


class Street(SyntheticSource):
    """Street scenes of 8 classes; 16 of 512 training scenes are labeled by default."""

    name = "street"
    stream = 1
    labeled = "16"
    classes = (
        ClassInfo("sky", (70, 130, 180)),
        ClassInfo("building", (90, 90, 90)),
        ClassInfo("road", (128, 64, 128)),
        ClassInfo("sidewalk", (244, 35, 232)),
        ClassInfo("tree", (107, 142, 35)),
        ClassInfo("car", (0, 0, 180)),
        ClassInfo("person", (220, 20, 60)),
        ClassInfo("pole", (250, 170, 30)),
    )

    def draw(self, rng: np.random.Generator) -> tuple[Array, Array]:
        """Draw a street: sky, buildings and ground, then objects from far to near."""
        scene = _Canvas(rng, self.size)
        horizon = rng.uniform(0.34, 0.5)
        vanish = rng.uniform(0.35, 0.65)
        scene.backdrop(horizon)
        scene.buildings(horizon, vanish)
        left, right = scene.ground(horizon, vanish)
        for _ in range(rng.integers(0, 5)):
            scene.tree(horizon, rng.uniform(0, 1))
        for depth in np.sort(rng.uniform(0.12, 0.95, rng.integers(0, 5))):
            scene.car(horizon, vanish, left, right, depth)
        for depth in np.sort(rng.uniform(0.1, 0.8, rng.integers(0, 5))):
            scene.person(horizon, vanish, left, right, depth)
        for depth in np.sort(rng.uniform(0.05, 0.7, rng.integers(0, 4))):
            scene.pole(horizon, vanish, left, right, depth)
        return synthetic.weather(rng, scene.image), scene.label


class _Canvas:
    """Image and label of a street; coordinates and lengths are shares of the image's side."""

    def __init__(self, rng: np.random.Generator, size: int) -> None:
        self.rng, self.size = rng, size
        self.image = np.zeros((size, size, 3), np.float32)
        self.label = np.zeros((size, size), np.uint8)

    def paint(
        self,
        mask: Array,
        label: int,
        base: Array,
        texture: Array | None = None,
        strength: float = 0,
    ) -> None:
        texture = np.zeros((self.size, self.size), np.float32) if texture is None else texture
        synthetic.fill(self.image, mask, base, texture, strength)
        self.label[mask] = label

    def shape(self, *points: tuple[float, float]) -> Array:
        return synthetic.polygon(self.size, np.array(points) * self.size)

    def oval(self, x: float, y: float, rx: float, ry: float) -> Array:
        s = self.size
        return synthetic.ellipse(s, (x * s, y * s), (max(rx * s, 0.6), max(ry * s, 0.6)))

    def cells(self, pixels: float) -> Array:
        """Noise whose blobs are `pixels` wide in an image of 64 x 64, and scaled in others."""
        return synthetic.noise(self.rng, self.size, pixels * self.size / 64)

    def backdrop(self, horizon: float) -> None:
        kind = self.rng.random()
        if kind < 0.5:
            base = synthetic.color(self.rng, (0.5, 0.66), (0.1, 0.6), (0.65, 1))
        elif kind < 0.8:
            base = synthetic.color(self.rng, (0, 1), (0, 0.1), (0.5, 1))
        else:
            base = synthetic.color(self.rng, (-0.05, 0.12), (0.2, 0.6), (0.6, 1))
        everything = np.ones((self.size, self.size), bool)
        fade = np.linspace(-1, 1, self.size, dtype=np.float32)[:, None].repeat(self.size, 1)
        clouds = self.cells(14) * self.rng.uniform(0, 0.6)
        self.paint(everything, SKY, base, fade + clouds, self.rng.uniform(0.03, 0.15))

    def buildings(self, horizon: float, vanish: float) -> None:
        x = self.rng.uniform(-0.2, 0.05)
        while x < 1:
            width = self.rng.uniform(0.12, 0.36)
            if self.rng.random() < 0.78:
                near = abs(x + width / 2 - vanish)
                height = self.rng.uniform(0.05, 0.2) + near * self.rng.uniform(0.2, 0.75)
                base = synthetic.color(self.rng, (0, 1), (0, 0.5), (0.15, 0.8))
                period = self.rng.uniform(3.5, 8) * self.size / 64
                windows = np.maximum(
                    synthetic.stripes(self.rng, self.size, period, 0),
                    synthetic.stripes(
                        self.rng, self.size, period * self.rng.uniform(0.8, 1.6), np.pi / 2
                    ),
                )
                top = horizon - height
                wall = self.shape((x, top), (x + width, top), (x + width, 0.75), (x, 0.75))
                self.paint(
                    wall,
                    BUILDING,
                    base,
                    windows,
                    self.rng.choice([-1, 1]) * self.rng.uniform(0.1, 0.22),
                )
            x += width

    def ground(self, horizon: float, vanish: float) -> tuple[float, float]:
        """Draw sidewalks and road; returns x of the road's edges at the bottom of the image."""
        left, right = self.rng.uniform(-0.35, 0.25), self.rng.uniform(0.75, 1.35)
        end = self.rng.uniform(0.01, 0.05)
        below = self.shape((0, horizon), (1, horizon), (1, 1.1), (0, 1.1))
        tiles = synthetic.checks(self.rng, self.size, self.rng.uniform(3, 6) * self.size / 64)
        base = synthetic.color(self.rng, (0, 1), (0, 0.2), (0.4, 0.95))
        self.paint(below, SIDEWALK, base, tiles, self.rng.uniform(0.03, 0.1))
        road = self.shape((vanish - end, horizon), (vanish + end, horizon), (right, 1), (left, 1))
        base = synthetic.color(self.rng, (0, 1), (0, 0.15), (0.1, 0.55))
        self.paint(road, ROAD, base, self.cells(1), self.rng.uniform(0.01, 0.06))
        if self.rng.random() < 0.6:  # lane marks have the class road
            middle = (left + right) / 2
            for start in np.arange(0.15, 1, 0.22):
                near, far = start + 0.1, start
                points = [
                    (vanish + (middle - vanish) * d + side * 0.02 * d, horizon + (1 - horizon) * d)
                    for d, side in ((far, -1), (far, 1), (near, 1), (near, -1))
                ]
                self.paint(self.shape(*points) & (self.label == ROAD), ROAD, np.full(3, 0.9))
        return left, right

    def tree(self, horizon: float, x: float) -> None:
        base = synthetic.color(self.rng, (0.14, 0.42), (0.3, 0.85), (0.15, 0.6))
        leaves = self.cells(1.6)
        radius, strength = self.rng.uniform(0.06, 0.17), self.rng.uniform(0.08, 0.2)
        y = horizon - radius * self.rng.uniform(0.3, 1.2)
        trunk = self.shape(
            (x - 0.015, y), (x + 0.015, y), (x + 0.015, horizon + 0.08), (x - 0.015, horizon + 0.08)
        )
        self.paint(trunk, TREE, base * 0.5)
        for _ in range(4):
            dx, dy = self.rng.uniform(-0.6, 0.6, 2) * radius
            crown = self.oval(x + dx, y + dy, radius * 0.75, radius * 0.75)
            self.paint(crown, TREE, base, leaves, strength)

    def car(self, horizon: float, vanish: float, left: float, right: float, depth: float) -> None:
        lane = self.rng.uniform(0.15, 0.85)
        edge = left + (right - left) * lane
        x, y = vanish + (edge - vanish) * depth, horizon + (1 - horizon) * depth
        w, h = 0.07 + 0.33 * depth, 0.05 + 0.19 * depth
        base = synthetic.color(self.rng, (0, 1), (0.2, 1), (0.15, 1))
        body = self.shape(
            (x - w / 2, y - h * 0.6), (x + w / 2, y - h * 0.6), (x + w / 2, y), (x - w / 2, y)
        )
        cabin = self.shape(
            (x - w * 0.25, y - h),
            (x + w * 0.25, y - h),
            (x + w * 0.4, y - h * 0.55),
            (x - w * 0.4, y - h * 0.55),
        )
        glass = self.shape(
            (x - w * 0.2, y - h * 0.9),
            (x + w * 0.2, y - h * 0.9),
            (x + w * 0.3, y - h * 0.62),
            (x - w * 0.3, y - h * 0.62),
        )
        self.paint(cabin, CAR, base * 0.9)
        self.paint(body, CAR, base)
        self.paint(glass, CAR, synthetic.color(self.rng, (0.5, 0.7), (0, 0.4), (0.1, 0.9)))
        for side in (-1, 1):
            wheel = self.oval(x + side * w * 0.3, y, w * 0.12, w * 0.12)
            self.paint(wheel, CAR, np.full(3, 0.06))

    def _on_sidewalk(
        self, horizon: float, vanish: float, left: float, right: float, depth: float
    ) -> tuple[float, float]:
        side = self.rng.random() < 0.5
        beyond = self.rng.uniform(0.05, 0.35)
        edge = left - beyond if side else right + beyond
        return vanish + (edge - vanish) * depth, horizon + (1 - horizon) * depth

    def person(
        self, horizon: float, vanish: float, left: float, right: float, depth: float
    ) -> None:
        x, y = self._on_sidewalk(horizon, vanish, left, right, depth)
        if self.rng.random() < 0.3:  # some cross the road
            x = vanish + self.rng.uniform(-0.4, 0.4) * depth
        h = 0.14 + 0.36 * depth
        w = h * self.rng.uniform(0.17, 0.23)
        coat, legs = (
            synthetic.color(self.rng, (0, 1), (0.4, 1), (0.3, 1)),
            synthetic.color(self.rng, (0, 1), (0, 0.6), (0, 0.6)),
        )
        for side in (-1, 1):
            leg = self.shape(
                (x, y - h * 0.45),
                (x + side * w, y - h * 0.45),
                (x + side * w, y),
                (x + side * w * 0.3, y),
            )
            self.paint(leg, PERSON, legs)
        self.paint(self.oval(x, y - h * 0.6, w * 1.1, h * 0.24), PERSON, coat)
        self.paint(
            self.oval(x, y - h * 0.9, w * 0.65, h * 0.1),
            PERSON,
            synthetic.color(self.rng, (0.03, 0.09), (0.2, 0.6), (0.2, 0.95)),
        )

    def pole(self, horizon: float, vanish: float, left: float, right: float, depth: float) -> None:
        x, y = self._on_sidewalk(horizon, vanish, left, right, depth)
        h, w = 0.25 + 0.55 * depth, 0.025 + 0.04 * depth
        base = synthetic.color(self.rng, (0, 1), (0, 0.3), (0.05, 0.5))
        self.paint(
            self.shape((x - w / 2, y - h), (x + w / 2, y - h), (x + w / 2, y), (x - w / 2, y)),
            POLE,
            base,
        )
        if self.rng.random() < 0.7:
            sign = self.oval(x, y - h, w * 2.2, w * 2.2)
            self.paint(sign, POLE, synthetic.color(self.rng, (0, 1), (0.5, 1), (0.3, 1)))
