"""The head of S4L, which says by how much the image of a prediction was turned."""

from torch import Tensor, nn

from ssseg.models.critics import at_least, convolution
from ssseg.models.layers import full

LEAST = 4
"""Sides to which smaller inputs are enlarged."""


class RotationHead(nn.Module):
    """Two convolutions on the logits of a network, a global mean and a linear layer.

    Args:
        num_classes: Number of classes C of the network.
    """

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for width in (num_classes, 2 * num_classes):
            # BatchNorm removes a bias
            halved = convolution(num_classes, width, bias=False)
            layers += [halved, nn.BatchNorm2d(width), nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers)
        self.classifier = nn.Linear(2 * num_classes, 4)

    def forward(self, logits: Tensor) -> Tensor:
        """(B, C, H, W) -> logits (B, 4) of 0, 1, 2, 3 quarter turns, in at least float32."""
        return full(self.classifier(self.layers(at_least(logits, LEAST)).mean((2, 3))))
