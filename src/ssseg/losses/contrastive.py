"""Contrast of features: those of one class attract each other, those of others repel."""

import torch
from torch import Tensor

from ssseg.distributed import SINGLE, DistInfo


def class_info_nce(
    anchors: Tensor,
    used: Tensor,
    keys: Tensor,
    filled: Tensor,
    own: Tensor,
    temperature: float = 0.1,
    devices: DistInfo = SINGLE,
) -> Tensor:
    """Supervised InfoNCE of anchors against a bank of keys, mean over anchors with a positive.

    With `s_k = anchor . key_k / temperature`, an anchor adds
    `log sum_k exp(s_k) - log sum_{k of its class} exp(s_k)`; its own copy in the bank is left out.

    Args:
        anchors: (C, K, D) float, normalised; the first dimension is their class.
        used: (C, K) bool; other anchors do not count.
        keys: (C, S, D) float, normalised; no gradient.
        filled: (C, S) bool; other keys do not count.
        own: (C, K) int64, the place in the bank of each anchor's own copy.
        temperature: Divides the cosines; above 0.
        devices: Devices that share the batch; the mean is over the anchors of all of them.

    Returns:
        Scalar; 0 without anchors.
    """
    (classes, count), size = used.shape, keys.shape[1]
    # float32 at least, whatever the precision of the networks
    with torch.autocast(anchors.device.type, enabled=False):
        flat = keys.detach().to(anchors.dtype).flatten(0, 1)
        scores = anchors.flatten(0, 1) @ flat.mT / temperature
    rank = torch.arange(classes, device=anchors.device)
    mine = rank.repeat_interleave(count)
    place = (mine * size + own.flatten())[:, None]
    others = filled.flatten().expand(classes * count, -1).scatter(1, place, False)
    same = others & (mine[:, None] == rank.repeat_interleave(size))
    lowest = torch.finfo(scores.dtype).min / 2
    total = scores.masked_fill(~others, lowest).logsumexp(1)
    positive = scores.masked_fill(~same, lowest).logsumexp(1)
    counted = used.flatten() & same.any(1)
    loss = (total - positive).masked_fill(~counted, 0).sum()
    return loss / devices.denominator(counted.sum())
