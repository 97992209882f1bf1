"""Photometric augmentation of whole batches, for methods that augment after mixing."""

import math

import torch
from torch import Tensor

from ssseg.ops.random import Rng, uniform


def full_precision(device: torch.device) -> torch.autocast:
    """A context without autocast: matrix products keep the dtype of their operands."""
    return torch.autocast(device.type, enabled=False)


def blur_matrix(length: int, sigma: Tensor, extent: int) -> Tensor:
    """Gaussian smoothing along one axis as a matrix; the signal is mirrored at its ends.

    A product with this matrix applies a different sigma to each image without a loop and without
    copies to the host.

    Args:
        length: Number of positions N along the axis.
        sigma: (B,) float, standard deviations in pixels, > 0.
        extent: Half width of the kernel in positions (4 sigma is enough).

    Returns:
        (B, N, N) float; rows sum to 1.
    """
    offset = torch.arange(-extent, extent + 1, device=sigma.device)
    kernel = torch.exp(-0.5 * (offset / sigma[:, None]).square())
    kernel = kernel / kernel.sum(1, keepdim=True)
    place = (torch.arange(length, device=sigma.device)[:, None] + offset) % (2 * length)
    place = torch.where(place < length, place, 2 * length - 1 - place)
    batch, width = len(sigma), len(offset)
    matrix = torch.zeros(batch, length, length, device=sigma.device, dtype=kernel.dtype)
    return matrix.scatter_add_(
        2, place.expand(batch, length, width), kernel[:, None].expand(batch, length, width)
    )


def gaussian_blur(image: Tensor, sigma: Tensor) -> Tensor:
    """Blur every image of a batch with its own sigma.

    Args:
        image: (B, C, H, W) float.
        sigma: (B,) float, standard deviations in pixels, in (0, 4].

    Returns:
        (B, C, H, W), same dtype.
    """
    height, width = image.shape[-2:]
    with full_precision(image.device):
        rows = blur_matrix(height, sigma, 16).to(image.dtype)
        cols = blur_matrix(width, sigma, 16).to(image.dtype)
        return rows[:, None] @ image @ cols[:, None].mT


SLACK = 0.01
"""Tolerance around [0, 1] for the values of an image, because half precision rounds."""
# RGB -> YIQ (Rec. 601): luma on the first axis, so that a rotation of the other two changes the hue
_TO_YIQ = torch.tensor([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])
_FROM_YIQ = torch.linalg.inv(_TO_YIQ)


def color_jitter(
    image: Tensor,
    strength: float = 0.25,
    *,
    mean: tuple[float, ...],
    std: tuple[float, ...],
    generator: Rng = None,
) -> Tensor:
    """Change brightness, contrast, saturation and hue of normalised RGB images, per image.

    Brightness, contrast and saturation factors are uniform in [1 - strength, 1 + strength]; the hue
    is rotated by up to `strength` of a full circle in the chroma plane. Saturation, hue and
    brightness are one 3 x 3 matrix per image. Two kinds of images are returned unchanged: those
    with another number of channels, for which colour is not defined, and those with values outside
    [0, 1] before normalisation (float images in another unit), whose range is unknown.

    Args:
        image: (B, 3, H, W) float, normalised with `mean` and `std`.
        strength: Range of the changes, in [0, 1].
        mean: Mean of the normalisation, per channel.
        std: Standard deviation of the normalisation, per channel.
        generator: Source of randomness.

    Returns:
        Same shape and dtype.
    """
    if image.shape[1] != 3:
        return image
    batch, device = len(image), image.device
    draw = 2 * uniform((4, batch), generator, batch=1, device=device) - 1
    brightness, contrast, saturation = (1 + strength * draw[:3]).unbind()
    angle = 2 * math.pi * strength * draw[3]

    turn = torch.zeros(batch, 3, 3, device=device)
    turn[:, 0, 0] = 1
    turn[:, 1, 1] = turn[:, 2, 2] = saturation * angle.cos()
    turn[:, 1, 2] = -saturation * angle.sin()
    turn[:, 2, 1] = saturation * angle.sin()

    constants = (torch.tensor(mean), torch.tensor(std), _TO_YIQ, _FROM_YIQ)
    # a blocking copy would make the host wait until the device has finished all queued work
    center, spread, to_yiq, from_yiq = (c.to(device, non_blocking=True) for c in constants)
    center, spread = center.view(3, 1, 1), spread.view(3, 1, 1)
    rgb = image.float() * spread + center
    picture = ((rgb > -SLACK) & (rgb < 1 + SLACK)).all(3).all(2).all(1)[:, None, None, None]
    with full_precision(device):
        color = brightness[:, None, None] * (from_yiq @ turn @ to_yiq)
        rgb = torch.einsum("bij,bjhw->bihw", color, rgb)
    level = rgb.mean((1, 2, 3), keepdim=True)
    rgb = (level + contrast.view(-1, 1, 1, 1) * (rgb - level)).clamp(0, 1)
    return torch.where(picture, ((rgb - center) / spread).to(image.dtype), image)
