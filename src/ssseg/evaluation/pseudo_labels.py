"""Metrics of pseudo-labels during training. They do not affect the training.

All metrics are tensors on the device, so that computing them does not wait for the device.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from ssseg.distributed import sum_dtype
from ssseg.types import IGNORE, Pseudo


def pseudo_label_metrics(
    pseudo: Pseudo, truth: Tensor | None, labeled: Sequence[int] | None, names: Sequence[str]
) -> dict[str, Tensor]:
    """Scalar metrics of one step by the name under which they are logged, in [0, 1].

    - `train/agreement`: share of pixels for which the student predicts its target.
    - `train/largest_class`: share of the most frequent class among the pseudo-labels.
    - `train/class_shift`: total variation distance (half the sum of absolute differences) between
      the class shares of the pseudo-labels and of the labeled set.
    - `train/pseudo_accuracy`, `train/pseudo_accuracy_trusted`: accuracy of all and of trusted
      pseudo-labels, if `truth` is given.
    - Per class: `pseudo_share/...`, and for the pseudo-labels of this class `pseudo_trusted/...`
      and, if `truth` is given, `pseudo_accuracy/...`.

    A metric without any pixels is NaN.

    Args:
        pseudo: Pseudo-labels and predictions of the step.
        truth: (B, H, W) int64, true classes of the unlabeled images; None if not available.
        labeled: Number of pixels of each class in the labeled set; None if unknown.
        names: Names of the C classes.
    """
    classes = len(names)
    label = _classes(pseudo.label)
    counts = class_counts(label, pseudo.valid, classes)
    share = counts / counts.sum()
    target, prediction = _classes(pseudo.target), _classes(pseudo.prediction)
    out = {
        "train/agreement": _share(target == prediction, pseudo.target_valid),
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
    """Sum of the weights of the valid pixels of each class, (C,) of dtype `sum_dtype`.

    Args:
        label: (B, H, W) int64; ids outside [0, C) are not counted.
        valid: (B, H, W) bool.
        classes: Number of classes C.
        weight: (B, H, W), the weight of each pixel; None: 1.
    """
    inside = valid & (label >= 0) & (label < classes)
    place = torch.where(inside, label, classes).flatten()
    dtype = sum_dtype(label.device)
    amount = torch.ones_like(place, dtype=dtype) if weight is None else weight.to(dtype)
    total = torch.zeros(classes + 1, dtype=dtype, device=label.device)
    return total.index_add_(0, place, amount.flatten())[:classes]


def gradient_norm(parameters: Sequence[Tensor]) -> Tensor:
    """The L2 norm of all gradients together, a scalar tensor; 0 without gradients."""
    grads = [p.grad for p in parameters if p.grad is not None]
    if not grads:
        return torch.zeros(())
    total: Tensor = torch.stack(list(torch._foreach_norm(grads))).norm()
    return total


def to_floats(values: Mapping[str, Tensor]) -> dict[str, float]:
    """Convert scalar tensors to Python floats with one transfer from the device."""
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
