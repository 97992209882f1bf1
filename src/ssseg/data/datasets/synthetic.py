"""Common part of the drawn data sets: textures, colours, shapes, light. RGB arrays in [0, 1]."""

from abc import abstractmethod

import cv2
import numpy as np

from ssseg.data.datasets.base import Array, Record, Source, Split


def color(
    rng: np.random.Generator,
    hue: tuple[float, float] = (0, 1),
    saturation: tuple[float, float] = (0, 1),
    value: tuple[float, float] = (0, 1),
) -> Array:
    """A random colour, (3,) float32.

    Args:
        rng: Source of randomness.
        hue: Range of the hue, where 1 is a full circle; values outside [0, 1] wrap.
        saturation: Range of the saturation.
        value: Range of the value.
    """
    h, s, v = (rng.uniform(*bounds) for bounds in (hue, saturation, value))
    hsv = np.array([[[h % 1 * 360, s, v]]], np.float32)
    out: Array = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)[0, 0]
    return out


def noise(rng: np.random.Generator, size: int, cell: float) -> Array:
    """Smooth noise with blobs of about `cell` pixels, (size, size) float32, mean 0, std 1."""
    coarse = max(2, round(size / cell))
    coarse_field = rng.standard_normal((coarse, coarse)).astype(np.float32)
    field: Array = cv2.resize(coarse_field, (size, size), interpolation=cv2.INTER_CUBIC)
    out: Array = (field - field.mean()) / (field.std() + 1e-6)
    return out


def stripes(rng: np.random.Generator, size: int, period: float, angle: float) -> Array:
    """A square wave, (size, size) float32 of -1 and 1; period in pixels, angle in radians."""
    y, x = np.mgrid[:size, :size].astype(np.float32)
    phase = rng.uniform(0, period)
    wave = (x * np.cos(angle) + y * np.sin(angle) + phase) % period < period / 2
    out: Array = wave.astype(np.float32) * 2 - 1
    return out


def checks(rng: np.random.Generator, size: int, period: float, angle: float = 0.0) -> Array:
    """A checkerboard, (size, size) float32 of -1 and 1; period in pixels, angle in radians."""
    return stripes(rng, size, period, angle) * stripes(rng, size, period, angle + np.pi / 2)


def fill(image: Array, mask: Array, base: Array, texture: Array, strength: float) -> None:
    """Paint a textured colour into the image where the mask is True, in place.

    Args:
        image: (size, size, 3) float32.
        mask: (size, size) bool.
        base: (3,), the colour.
        texture: (size, size), added to the colour.
        strength: Factor of the texture.
    """
    image[mask] = np.clip(base + strength * texture[mask][:, None], 0, 1)


def polygon(size: int, points: Array) -> Array:
    """The inside of a polygon with the corners `points`, (N, 2) of (x, y): (size, size) bool."""
    canvas = np.zeros((size, size), np.uint8)
    # coordinates with four fractional bits, for corners between pixels
    cv2.fillPoly(canvas, [np.round(np.asarray(points) * 16).astype(np.int32)], 1, shift=4)
    return canvas.astype(bool)


def ellipse(size: int, center: tuple[float, float], axes: tuple[float, float]) -> Array:
    """The inside of an upright ellipse, center (x, y), half axes (x, y), (size, size) bool."""
    y, x = np.mgrid[:size, :size]
    inside: Array = ((x - center[0]) / axes[0]) ** 2 + ((y - center[1]) / axes[1]) ** 2 <= 1
    return inside


def weather(rng: np.random.Generator, image: Array) -> Array:
    """Vary light and camera: colour cast, gamma, light gradient, haze, blur and sensor noise.

    Args:
        rng: Source of randomness.
        image: (size, size, 3) float32 in [0, 1].

    Returns:
        (size, size, 3) uint8.
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
    """A drawn data set: each scene is a function of (data set, split, index), without files.

    Args:
        train_images: Number of training scenes; `--data.labeled` of them are labeled.
        val_images: Number of validation scenes, drawn with other seeds.
        test_images: Number of test scenes, drawn with other seeds.
        size: Side of the square images, in pixels.
    """

    in_memory = True
    scale = (1.0, 1.0)
    batch_size = 8
    network = "small"
    stream: int
    """First number of the seeds, different for each data set."""

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
        """Scenes `<split>/00000`, `<split>/00001`, ...; all have masks."""
        return [Record(f"{split}/{i:05d}", i, i) for i in range(self.sizes[split])]

    def size_of(self, record: Record) -> tuple[int, int]:
        """Height and width, the same for all scenes."""
        return self.size, self.size

    def read_image(self, record: Record) -> Array:
        """The scene, (size, size, 3) uint8."""
        return self._scene(record)[0]

    def read_mask(self, record: Record) -> Array:
        """The class ids, (size, size) uint8."""
        return self._scene(record)[1]

    def _scene(self, record: Record) -> tuple[Array, Array]:
        split, index = record.id.split("/")[0], int(str(record.image))
        if (split, index) not in self._scenes:
            seed = [self.stream, ("train", "val", "test").index(split), index]
            self._scenes[split, index] = self.draw(np.random.default_rng(seed))
        return self._scenes[split, index]

    @abstractmethod
    def draw(self, rng: np.random.Generator) -> tuple[Array, Array]:
        """Draw a scene: image (size, size, 3) uint8 and class ids (size, size) uint8."""
