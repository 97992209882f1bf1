"""Which labeled image an image is blended with (LUPI, Sec. 3.1.1)."""

from typing import Literal

import torch
from torch import Tensor

from ssseg.distributed import GlobalBatchGenerator
from ssseg.ops.mix import most_similar, random_candidates, squared_distances
from ssseg.types import Step

PartnerRule = Literal["similar", "assigned", "random"]


def partners(
    query: Tensor, keys: Tensor, rule: PartnerRule, step: Step, own: Tensor | None = None
) -> Tensor:
    """A candidate for every image; the same ones on any number of devices.

    Args:
        query: (B, D) float, pooled features of the images of this device.
        keys: (N, D) float, pooled features of the candidates, the same on all devices.
        rule: `similar`: the nearest one (Eq. 3); `assigned`: near ones, such that all candidates
            are used equally often, see `assign`; `random`.
        step: With its generator.
        own: (B,) int64, the candidate that is the image itself, which it gets only if it is alone.

    Returns:
        (B,) int64 indices into `keys`; no gradient.
    """
    if rule == "similar":
        return most_similar(query, keys, own=own)
    if rule == "random" and own is not None:
        return (own + 1) % len(keys)  # the order of labeled images in a batch is random
    devices, source = step.devices, step.draws
    start, end = devices.rank * len(query), (devices.rank + 1) * len(query)
    if rule == "random":
        generator = source.generator if isinstance(source, GlobalBatchGenerator) else source
        count = len(query) * devices.world_size
        chosen = random_candidates(count, len(keys), generator=generator, device=query.device)
        return chosen[start:end]
    everyone = devices.gather(query)
    return assign(everyone, keys, None if own is None else devices.gather(own))[start:end]


@torch.no_grad()
def assign(query: Tensor, keys: Tensor, own: Tensor | None = None) -> Tensor:
    """A near key for every query, such that no key is used by more than ceil(B / N) queries.

    The sum of squared distances is the smallest possible one. The nearest key alone is often the
    same one for most queries (a hub).

    Args:
        query: (B, D) float.
        keys: (N, D) float.
        own: (B,) int64, the key that is the query itself; used only where no other one is left.

    Returns:
        (B,) int64 indices into `keys`, found on the host; no gradient.
    """
    from scipy.optimize import linear_sum_assignment  # a second of imports, for this rule only

    distance = squared_distances(query, keys, own).double().cpu()
    known = distance.isfinite()
    # more than any sum of finite ones, so that it is the last resort
    distance = distance.where(known, 1 + distance[known].sum())
    uses = -(-len(query) // len(keys))
    _, chosen = linear_sum_assignment(distance.repeat(1, uses).numpy())
    return (torch.from_numpy(chosen) % len(keys)).to(keys.device)
