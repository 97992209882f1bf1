"""A network as one `torch.export` program for images of every size."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from ssseg.errors import UserError
from ssseg.models.segmenter import Segmenter

EXAMPLE = (2, 520, 776)
"""Batch, height and width to trace with, which computes nothing. The sides are so large that no
feature map shrinks to one pixel, which would be traced as a case of its own."""


class GridPool(nn.Module):
    """Adaptive average pooling as two matrix products.

    Exporters unroll the usual layer for the size of their example.

    Args:
        size: Rows and columns of the grid.
    """

    def __init__(self, size: tuple[int, int]) -> None:
        super().__init__()
        self.size = size

    def forward(self, feats: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, rows, columns)."""
        if self.size == (1, 1):
            return feats.mean((-2, -1), keepdim=True)
        height, width = feats.shape[-2:]
        rows, columns = self.size
        return _shares(height, rows, feats) @ feats @ _shares(width, columns, feats).T


def _shares(side: int, cells: int, like: Tensor) -> Tensor:
    """(cells, side): what each place gives to each cell's mean; cells share a place at most."""
    cell = torch.arange(cells, device=like.device)[:, None]
    place = torch.arange(side, device=like.device)
    first = torch.div(cell * side, cells, rounding_mode="floor")
    end = torch.div((cell + 1) * side + cells - 1, cells, rounding_mode="floor")
    inside = ((place >= first) & (place < end)).to(like.dtype)
    return inside / inside.sum(1, keepdim=True)


def program_of(network: Segmenter) -> torch.export.ExportedProgram:
    """The network as a program for images of any batch, height and width.

    Args:
        network: In eval mode; it is left as it is.

    Raises:
        UserError: For a network that cannot be traced.
    """
    batch, height, width = EXAMPLE
    channels = network.in_channels
    free = torch.export.Dim.DYNAMIC
    with _integer_padding(), _no_special_sizes():
        try:
            program = torch.export.export(
                _without_grids(network),
                (torch.zeros(batch, channels, height, width),),
                dynamic_shapes={"image": {0: free, 2: free, 3: free}},
                strict=False,
            )
        except Exception as error:  # whatever it is in a network that cannot be traced
            raise not_exportable(network, error) from error
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # it holds paths of this machine
    # it would be saved as well, pixel by pixel
    program.example_inputs = ((torch.zeros(1, channels, 32, 32),), {})
    _lift_limits(program)
    return program


def _lift_limits(program: torch.export.ExportedProgram) -> None:
    """Remove limits that would refuse small images.

    The limits tell how tensors of the example lie in memory and what a scale would be between maps
    of one pixel, on which no operator in the program depends. That they are of no consequence is
    tried with every file, by small images.
    """
    ranges: dict[Any, Any] = program.range_constraints
    for side, found in ranges.items():
        ranges[side] = type(found)(1, found.upper)
    if hasattr(program, "_guards_code"):
        program._guards_code = []


def not_exportable(network: Segmenter, error: Exception) -> UserError:
    """The error for a network that cannot be exported."""
    recipe = network.hparams
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    reason = ": ".join([type(error).__name__, *lines[:1]])[:200]
    return UserError(
        f"decoder {recipe['decoder']!r} on encoder {recipe['encoder']!r} cannot be exported as a "
        f"program for images of every size ({reason}); --format safetensors takes every network"
    )


def _without_grids(network: Segmenter) -> nn.Module:
    """A copy whose pooling layers are exported for every size."""
    network = copy.deepcopy(network)
    for parent in list(network.modules()):
        for name, layer in list(parent.named_children()):
            if isinstance(layer, nn.AdaptiveAvgPool2d):
                size: Any = layer.output_size
                rows, columns = size if isinstance(size, tuple) else (size, size)
                if rows and columns:
                    setattr(parent, name, GridPool((rows, columns)))
    return network


@contextmanager
def _integer_padding() -> Iterator[None]:
    """SAME padding of timm in integers: its `math.ceil` of a quotient cannot be saved."""
    import timm.layers.padding

    layers: Any = timm.layers.padding

    def same(side: Any, kernel: int, stride: int, dilation: int) -> Any:
        last = (side - 1) // stride * stride
        return torch.sym_max(last + (kernel - 1) * dilation + 1 - side, 0)

    usual = layers.get_same_padding
    layers.get_same_padding = same
    try:
        yield
    finally:
        layers.get_same_padding = usual


@contextmanager
def _no_special_sizes() -> Iterator[None]:
    """Sizes of 0 and 1 are traced as any other, where this version of torch can."""
    import torch.fx.experimental._config

    config: Any = torch.fx.experimental._config
    if not hasattr(config, "backed_size_oblivious"):
        yield
        return
    with config.patch(backed_size_oblivious=True):
        yield
