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
    size, lowest = keys.shape[1], -1e9  # as good as minus infinity, but with finite gradients
    keys = keys.detach().to(anchors.dtype)
    hidden = torch.where(filled, 0.0, lowest).to(anchors.dtype)
    # float32 at least, whatever the precision of the networks
    with torch.autocast(anchors.device.type, enabled=False):
        scaled = anchors / temperature
        same = torch.baddbmm(hidden[:, None], scaled, keys.mT)
        total = torch.addmm(hidden.flatten(), scaled.flatten(0, 1), keys.flatten(0, 1).mT)
    first = size * torch.arange(len(keys), device=keys.device)[:, None]
    same = same.scatter(2, own[..., None], lowest)
    total = total.scatter(1, (first + own).flatten()[:, None], lowest)
    others = filled.sum(1, keepdim=True) - filled.gather(1, own).long()
    counted = used & (others > 0)
    loss = total.logsumexp(1).view_as(used) - same.logsumexp(2)
    return loss.masked_fill(~counted, 0).sum() / devices.denominator(counted.sum())
