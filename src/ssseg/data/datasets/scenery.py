"""What drawn scenes are made of: textures, colours, light. NumPy arrays in [0, 1], RGB."""

import cv2
import numpy as np

from ssseg.data.datasets.base import Array

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
