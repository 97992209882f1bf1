"""Feature maps, and decoders with weights as after training."""

import torch
from torch.nn import functional as F


def shaken(module):
    """In double precision, with weights and statistics that are not zero anywhere."""
    generator = torch.Generator().manual_seed(1)
    module = module.double().eval()
    with torch.no_grad():
        for name, tensor in module.state_dict().items():
            if tensor.is_floating_point():
                noise = torch.rand(tensor.shape, generator=generator, dtype=tensor.dtype)
                tensor.add_(noise if "running" in name else 0.4 * noise - 0.2)
    return module


def maps(*shapes):
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes]


def normed(layers, feats):
    """Convolution, BatchNorm in eval mode, ReLU, with the values of a sequence of layers."""
    conv, norm = layers[0], layers[1]
    out = F.conv2d(feats, conv.weight, conv.bias, padding=conv.weight.shape[-1] // 2)
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()
    return F.relu((out - norm.running_mean[:, None, None]) * scale[:, None, None]
                  + norm.bias[:, None, None])  # fmt: skip
