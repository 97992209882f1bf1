"""The direction in which a prediction changes most (virtual adversarial training)."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from ssseg.ops.photometric import full_precision
from ssseg.ops.random import Rng, normal


def unit(values: Tensor) -> Tensor:
    """Samples scaled to a Euclidean norm of 1; a sample of zeros stays.

    Args:
        values: (B, ...) float.
    """
    dims = tuple(range(1, values.dim()))
    largest = values.abs().amax(dims, keepdim=True)
    # divided by its largest value first, because squares of gradients are too small for float32
    scaled = values / torch.where(largest > 0, largest, 1)
    norm = scaled.square().sum(dims, keepdim=True).sqrt()
    return scaled / torch.where(norm > 0, norm, 1)


def adversarial_direction(
    logits_of: Callable[[Tensor], Tensor],
    inputs: Tensor,
    trial: float,
    counted: Tensor | None = None,
    *,
    generator: Rng = None,
) -> Tensor:
    """The direction along which the predicted probabilities change most, one per sample.

    One power iteration (Miyato et al., "Virtual adversarial training", TPAMI 2018, Eq. 11): the
    gradient of `KL(p(x) || p(x + d))` with respect to `d`, at a random `d` of norm `trial`. It is
    computed in at least float32, without autocast. No gradient of a parameter is changed.

    Args:
        logits_of: Computes logits (B, C, H, W) of inputs; it must not change buffers.
        inputs: (B, ...) float, the inputs x.
        trial: Norm of `d`. It has to be large enough to change `x` in float32.
        counted: (B, H, W) bool, pixels of the logits that count; None: all.
        generator: Source of the random direction.

    Returns:
        Like `inputs`, in at least float32, each sample with a norm of 1.
    """
    device = inputs.device
    place = inputs.detach().to(torch.promote_types(inputs.dtype, torch.float32))
    start = trial * unit(normal(inputs.shape, generator, device=device).to(place.dtype))
    with full_precision(device), torch.enable_grad():
        start.requires_grad_()
        moved = logits_of(place + start)
        with torch.no_grad():
            probs = logits_of(place).softmax(1)
        # the cross-entropy has the gradient of the divergence
        error = F.cross_entropy(moved, probs, reduction="none")
        if counted is not None:
            error = error.masked_fill(~counted, 0)
        (gradient,) = torch.autograd.grad(error.sum(), start)
    return unit(gradient)
