"""What drawn scenes are made of: textures, colours, light. NumPy arrays in [0, 1], RGB."""

from abc import abstractmethod

import cv2
import numpy as np

from ssseg.data.datasets.base import Array, Record, Source, Split

Rng = np.random.Generator


def color(
    rng: Rng,
    hue: tuple[float, float] = (0, 1),
    saturation: tuple[float, float] = (0, 1),
    value: tuple[float, float] = (0, 1),
) -> Array:
    """A random colour, (3,) float32; hue in [0, 1] of a circle, out-of-range values wrap."""
    h, s, v = (rng.uniform(*bounds) for bounds in (hue, saturation, value))
    hsv = np.array([[[h % 1 * 360, s, v]]], np.float32)
    out: Array = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)[0, 0]
    return out


def noise(rng: Rng, size: int, cell: float) -> Array:
    """Smooth noise with blobs of about `cell` pixels, (size, size) float32, mean 0, std 1."""
    coarse = max(2, round(size / cell))
    coarse_field = rng.standard_normal((coarse, coarse)).astype(np.float32)
    field: Array = cv2.resize(coarse_field, (size, size), interpolation=cv2.INTER_CUBIC)
    out: Array = (field - field.mean()) / (field.std() + 1e-6)
    return out


def stripes(rng: Rng, size: int, period: float, angle: float) -> Array:
    """A square wave across the image, (size, size) float32 of -1 and 1."""
    y, x = np.mgrid[:size, :size].astype(np.float32)
    phase = rng.uniform(0, period)
    wave = (x * np.cos(angle) + y * np.sin(angle) + phase) % period < period / 2
    out: Array = wave.astype(np.float32) * 2 - 1
    return out


def checks(rng: Rng, size: int, period: float, angle: float = 0.0) -> Array:
    """A checkerboard, (size, size) float32 of -1 and 1."""
    return stripes(rng, size, period, angle) * stripes(rng, size, period, angle + np.pi / 2)


def fill(image: Array, mask: Array, base: Array, texture: Array, strength: float) -> None:
    """Paint a colour, made lighter and darker by a texture, where the mask is True."""
    image[mask] = np.clip(base + strength * texture[mask][:, None], 0, 1)


def polygon(size: int, points: Array) -> Array:
    """The inside of a polygon given as (N, 2) points (x, y), (size, size) bool."""
    canvas = np.zeros((size, size), np.uint8)
    # four fractional bits place corners between pixels
    cv2.fillPoly(canvas, [np.round(np.asarray(points) * 16).astype(np.int32)], 1, shift=4)
    return canvas.astype(bool)


def ellipse(size: int, center: tuple[float, float], axes: tuple[float, float]) -> Array:
    """The inside of an upright ellipse, center (x, y), half axes (x, y), (size, size) bool."""
    y, x = np.mgrid[:size, :size]
    inside: Array = ((x - center[0]) / axes[0]) ** 2 + ((y - center[1]) / axes[1]) ** 2 <= 1
    return inside


def weather(rng: Rng, image: Array) -> Array:
    """Light of the day and the camera's faults: what makes one scene look unlike the next.

    A colour cast, gamma, a gradient of light, haze, blur and sensor noise. Returns uint8.
    """
    size = len(image)
    image = image * rng.uniform(0.85, 1.15, 3)
    image = np.clip(image, 0, 1) ** rng.uniform(0.7, 1.4)
    angle = rng.uniform(0, 2 * np.pi)
    y, x = np.mgrid[:size, :size] / size - 0.5
    image = image * (1 + rng.uniform(0, 0.5) * (x * np.cos(angle) + y * np.sin(angle)))[..., None]
    haze = rng.uniform(0, 0.3)
    image = image * (1 - haze) + haze * rng.uniform(0.3, 0.9)
    if rng.random() < 0.3:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.4, 0.9))
    image = image + rng.normal(0, rng.uniform(0.005, 0.04), image.shape)
    out: Array = (np.clip(image, 0, 1) * 255).astype(np.uint8)
    return out


class SyntheticSource(Source):
    """A procedural data set: scenes drawn from (seed, index), nothing to read.

    Args:
        train_images: Training scenes, of which `--data.labeled` are labeled.
        val_images: Held-out scenes from another seed range.
        test_images: Held-out scenes from a third seed range.
        size: Side of the square images, in pixels.
    """

    in_memory = True
    scale = (1.0, 1.0)
    batch_size = 8
    network = "small"
    stream: int
    """Sets this data set's scenes apart from those of other data sets."""

    def __init__(
        self,
        train_images: int = 512,
        val_images: int = 128,
        test_images: int = 256,
        size: int = 64,
    ) -> None:
        self.sizes: dict[Split, int] = {
            "train": train_images,
            "val": val_images,
            "test": test_images,
        }
        self.size = size
        self.crop_size = (size, size)
        self._scenes: dict[tuple[str, int], tuple[Array, Array]] = {}

    def records(self, split: Split) -> list[Record]:
        """Scenes `<split>/00000`, ...; their masks are known to be in memory."""
        return [Record(f"{split}/{i:05d}", i, i) for i in range(self.sizes[split])]

    def size_of(self, record: Record) -> tuple[int, int]:
        """That of all scenes."""
        return self.size, self.size

    def read_image(self, record: Record) -> Array:
        """The scene, (size, size, 3) uint8."""
        return self._scene(record)[0]

    def read_mask(self, record: Record) -> Array:
        """Its classes, (size, size) uint8."""
        return self._scene(record)[1]

    def _scene(self, record: Record) -> tuple[Array, Array]:
        split, index = record.id.split("/")[0], int(str(record.image))
        if (split, index) not in self._scenes:
            seed = [self.stream, ("train", "val", "test").index(split), index]
            self._scenes[split, index] = self.draw(np.random.default_rng(seed))
        return self._scenes[split, index]

    @abstractmethod
    def draw(self, rng: np.random.Generator) -> tuple[Array, Array]:
        """One scene: image (size, size, 3) uint8 and classes (size, size) uint8."""
