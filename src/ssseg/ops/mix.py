"""Mixing of images and the choice of each image's partner."""

from typing import Literal, NamedTuple

import torch
from torch import Tensor

from ssseg.distributed import SINGLE, DistInfo
from ssseg.ops.decouple import one_hot
from ssseg.ops.random import Rng, gamma, uniform
from ssseg.types import IGNORE, Labeled


class Mixed(NamedTuple):
    """Images with the tensors that are mixed by the same mask."""

    image: Tensor
    """(B, C, H, W) float."""
    label: Tensor
    """(B, H, W) int64 class ids, or (B, K, H, W) float soft labels."""
    conf: Tensor
    """(B, H, W) float, confidence of the label, or 1 where the label is trusted and 0 elsewhere."""
    valid: Tensor
    """(B, H, W) bool; False on padding."""


def paste(ours: Tensor, theirs: Tensor, mask: Tensor) -> Tensor:
    """Take the pixels of `ours` where the mask is True, of `theirs` where it is False.

    Args:
        ours: (B, H, W) or (B, C, H, W), any dtype.
        theirs: Same shape and dtype as `ours`.
        mask: (B, 1, H, W) bool.

    Returns:
        A new tensor of the same shape and dtype.
    """
    return torch.where(mask if ours.dim() == 4 else mask[:, 0], ours, theirs)


def blend(ours: Tensor, theirs: Tensor, lam: Tensor) -> Tensor:
    """Blend images: `lam * ours + (1 - lam) * theirs`, with one share per image.

    Args:
        ours: (B, ...) float.
        theirs: Same shape and dtype as `ours`.
        lam: (B,) float in [0, 1], the share of `ours`.

    Returns:
        A new tensor of the same shape and dtype.
    """
    lam = lam.to(ours.dtype).view(-1, *[1] * (ours.dim() - 1))
    return lam * ours + (1 - lam) * theirs


def mix(sample: Mixed, partner: Tensor, mask: Tensor) -> Mixed:
    """Mix image, label, confidence and validity of every sample with its partner, by one mask.

    Args:
        sample: The samples; the first dimension of every tensor is B.
        partner: (B,) int64, the index of each sample's partner in the same batch.
        mask: (B, 1, H, W) bool; True = this image's pixel.
    """
    return paste_all(sample, Mixed(*(part[partner] for part in sample)), mask)


def paste_all(ours: Mixed, theirs: Mixed, mask: Tensor) -> Mixed:
    """Apply `paste` to image, label, confidence and validity, by one mask (B, 1, H, W) bool."""
    return Mixed(*(paste(our, their, mask) for our, their in zip(ours, theirs, strict=True)))


def next_in_ring(sample: Mixed, devices: DistInfo = SINGLE) -> Mixed:
    """The partner of every sample: the next one of the global batch (the published ClassMix ring).

    The last sample of a device is followed by the first sample of the next device.
    """
    return Mixed(*(devices.next_in_ring(part) for part in sample))


def labeled_samples(labeled: Labeled, sample: Mixed) -> Mixed:
    """A labeled image for each of B samples, with its ground truth, to be pasted into it.

    Of N labeled images, sample i gets number `floor(i N / B)`. This needs no random number, because
    batches are in random order, and on several devices the two are on the same one. Its pixels are
    trusted. They are invalid where the label is IGNORE, and in samples without a valid pixel, which
    would else be trained on.

    Args:
        labeled: Labeled images of the same height and width as the samples.
        sample: The samples, with hard or soft labels.
    """
    count, images = len(sample.image), len(labeled.image)
    index = torch.arange(count, device=sample.image.device) * images // max(1, count)
    image, label = labeled.image[index], labeled.label[index]
    valid = (label != IGNORE) & sample.valid.flatten(1).any(1)[:, None, None]
    if sample.label.dim() == 4:
        label = one_hot(label, sample.label)
    return Mixed(image, label, torch.ones_like(sample.conf), valid)


def roll_pairs(batch: int, device: torch.device | str | None = None) -> Tensor:
    """Partner of image i is image (i + 1) mod B (the published ClassMix ring). (B,) int64."""
    return torch.arange(1, batch + 1, device=device) % max(1, batch)


def permutation_pairs(
    batch: int,
    *,
    generator: torch.Generator | None = None,
    device: torch.device | str | None = None,
) -> Tensor:
    """Random partners, none of them the image itself (B >= 2): one random ring. (B,) int64."""
    order = torch.randperm(batch, generator=generator, device=device)
    return torch.empty_like(order).scatter_(0, order, order.roll(-1))


def random_candidates(
    batch: int,
    candidates: int,
    *,
    generator: torch.Generator | None = None,
    device: torch.device | str | None = None,
) -> Tensor:
    """A random candidate for each of B images; each is used at most ceil(B / candidates) times.

    With as many candidates as images this is a random permutation, as in GuidedMix-Net's released
    code.

    Args:
        batch: Number of images B.
        candidates: Number of candidates.
        generator: Source of randomness.
        device: Device of the result.

    Returns:
        (B,) int64 indices in [0, candidates).
    """
    rounds = -(-batch // max(1, candidates)) * candidates
    order = torch.randperm(rounds, generator=generator, device=device)
    return order[:batch] % max(1, candidates)


@torch.no_grad()
def most_similar(query: Tensor, keys: Tensor, *, own: Tensor | None = None) -> Tensor:
    """The nearest key of every query by squared Euclidean distance (GuidedMix-Net, Eq. 3).

    Of keys at the same distance the first one is taken.

    Args:
        query: (B, D) float, pooled features of the images that need a partner.
        keys: (N, D) float, pooled features of the candidates.
        own: (B,) int64, the key that is the query's own image, which is excluded. A query whose own
            key is the only one gets it all the same.

    Returns:
        (B,) int64 indices into `keys`; no gradient.
    """
    return squared_distances(query, keys, own).argmin(1)


def squared_distances(query: Tensor, keys: Tensor, own: Tensor | None = None) -> Tensor:
    """Squared Euclidean distances (B, N) float32 of (B, D) and (N, D); infinite to the own key."""
    # float32, because squares of large features overflow in half precision
    distance = (query[:, None].float() - keys[None].float()).square().sum(-1)
    return distance if own is None else distance.scatter(1, own[:, None], torch.inf)


def beta_lambda(
    batch: int,
    alpha: float = 1.0,
    cap: float = 0.5,
    how: Literal["reject", "rescale", "clip"] = "reject",
    *,
    folded: bool = True,
    generator: Rng = None,
    device: torch.device | str | None = None,
) -> Tensor:
    """Mixing shares from the Beta(alpha, alpha) distribution, folded to its lower half and capped.

    With `folded`, lam = min(lam, 1 - lam) as in GuidedMix-Net, Eq. 2. Shares above `cap` are drawn
    again (`reject`; for alpha = 1 the result is uniform in (0, cap)), all shares are multiplied by
    `2 * cap` (`rescale`), or shares are clipped (`clip`). Without `folded` this is plain mixup
    (ICT) and `cap` has no effect.

    Args:
        batch: Number of shares B.
        alpha: Parameter of the Beta distribution, > 0.
        cap: Upper bound of a folded share, in (0, 0.5].
        how: How the upper bound is applied.
        folded: Whether the partner always has the larger share.
        generator: Source of randomness.
        device: Device of the shares.

    Returns:
        (B,) float32.

    Raises:
        ValueError: For an `alpha` that is not positive or a `cap` outside (0, 0.5].
    """
    if alpha <= 0:
        raise ValueError(f"alpha must be positive, got {alpha}")
    if not 0 < cap <= 0.5:
        raise ValueError(f"cap must lie in (0, 0.5], got {cap}")
    if folded and alpha == 1 and how == "reject":
        return cap * uniform((batch,), generator, device=device)
    # a fixed number of tries, because a loop until acceptance would copy its condition to the host
    tries = 64 if folded and how == "reject" else 1
    drawn = gamma((2, batch, tries), alpha, generator, batch=1, device=device)
    drawn = drawn.clamp_min(torch.finfo(drawn.dtype).tiny)
    lam = drawn[0] / drawn.sum(0)
    if not folded:
        return lam[:, 0].float()
    lam = torch.minimum(lam, 1 - lam)
    if how == "rescale":
        return (2 * cap * lam[:, 0]).float()
    if how == "clip":
        return lam[:, 0].clamp_max(cap).float()
    first = (lam < cap).byte().argmax(1, keepdim=True)
    lam = lam.gather(1, first)[:, 0]
    # no try accepted (a narrow distribution far above the cap): the cap, which is the limit then
    return lam.clamp_max(cap).float()
