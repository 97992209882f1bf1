"""What is read of a step besides its losses: how pseudo-labels are doing. Nothing learns from it.

All readings are tensors on the device, so that reading waits for nothing.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from ssseg.distributed import sum_dtype
from ssseg.types import IGNORE, Pseudo


def pseudo_label_metrics(
    pseudo: Pseudo, truth: Tensor | None, labeled: Sequence[int] | None, names: Sequence[str]
) -> dict[str, Tensor]:
    """Scalars by the name that they are logged under; shares in [0, 1].

    `train/agreement`: of the pixels that the student was asked about, those that it answered as
    asked. `train/largest_class`: the share of the most frequent pseudo-label.
    `train/class_shift`: how far the classes of pseudo-labels are from those of the labeled images,
    half the sum of the absolute differences of their shares (total variation).
    `train/pseudo_accuracy`, `train/pseudo_accuracy_trusted`: of all and of trusted pseudo-labels,
    where truth is lent. By class: `pseudo_share/...`, and of a class's pseudo-labels
    `pseudo_trusted/...` and `pseudo_accuracy/...`. What has no pixels is NaN.

    Args:
        pseudo: Of the step.
        truth: (B, H, W) int64, of the unlabeled images; None where it is not lent.
        labeled: Pixels of each class in the labeled set; None where nobody knows.
        names: Of the C classes.
    """
    classes = len(names)
    label = _classes(pseudo.label)
    counts = class_counts(label, pseudo.valid, classes)
    share = counts / counts.sum()
    asked, answer = _classes(pseudo.asked), _classes(pseudo.answer)
    out = {
        "train/agreement": _share(asked == answer, pseudo.asked_valid),
        "train/largest_class": share.amax(),
    }
    if labeled is not None:
        wanted = torch.tensor(labeled, dtype=share.dtype).to(share.device, non_blocking=True)
        out["train/class_shift"] = (share - wanted / wanted.sum()).abs().sum() / 2
    per_class: dict[str, Tensor] = {
        "pseudo_share": share,
        "pseudo_trusted": class_counts(label, pseudo.valid, classes, pseudo.trusted) / counts,
    }
    if truth is not None:
        truth = truth if pseudo.image is None else truth[pseudo.image]
        known = pseudo.valid & (truth != IGNORE)
        right = (label == truth).to(share.dtype)
        out["train/pseudo_accuracy"] = _share(right, known)
        out["train/pseudo_accuracy_trusted"] = _share(right, known * pseudo.trusted)
        per_class["pseudo_accuracy"] = class_counts(label, known, classes, right) / class_counts(
            label, known, classes
        )
    for what, values in per_class.items():
        out |= {f"{what}/{name}": value for name, value in zip(names, values, strict=True)}
    return out


def class_counts(
    label: Tensor, valid: Tensor, classes: int, weight: Tensor | None = None
) -> Tensor:
    """The weight of the valid pixels of each class, (C,) `sum_dtype`; other ids count nowhere.

    Args:
        label: (B, H, W) int64.
        valid: (B, H, W) bool.
        classes: C.
        weight: (B, H, W) of each pixel; 1 if not given.
    """
    inside = valid & (label >= 0) & (label < classes)
    place = torch.where(inside, label, classes).flatten()
    dtype = sum_dtype(label.device)
    amount = torch.ones_like(place, dtype=dtype) if weight is None else weight.to(dtype)
    total = torch.zeros(classes + 1, dtype=dtype, device=label.device)
    return total.index_add_(0, place, amount.flatten())[:classes]


def gradient_norm(parameters: Sequence[Tensor]) -> Tensor:
    """The norm of all gradients together, as a scalar; 0 where there are none."""
    grads = [p.grad for p in parameters if p.grad is not None]
    if not grads:
        return torch.zeros(())
    total: Tensor = torch.stack(list(torch._foreach_norm(grads))).norm()
    return total


def to_floats(values: Mapping[str, Tensor]) -> dict[str, float]:
    """As numbers of the host, in one transfer from the device."""
    if not values:
        return {}
    device = next((v.device for v in values.values() if v.device.type != "cpu"), None)
    stacked = torch.stack(
        [value.to(device=device, dtype=sum_dtype(device)) for value in values.values()]
    )
    return dict(zip(values, stacked.tolist(), strict=True))


def _classes(label: Tensor) -> Tensor:
    return label.argmax(1) if label.dim() == 4 else label


def _share(which: Tensor, weight: Tensor) -> Tensor:
    weight = weight.to(sum_dtype(weight.device))
    return (which * weight).sum() / weight.sum()
