"""The head of FCN on a dilated network (Long et al., CVPR 2015), as in torchvision."""

from collections.abc import Sequence

from torch import Tensor, nn

from ssseg.models.layers import Decoder, conv_bn_relu


class FcnDecoder(Decoder):
    """A 3 x 3 convolution of the last feature map, dropout, and a 1 x 1 convolution.

    Args:
        encoder_channels: Channels of the encoder's feature maps; the last one is used.
        num_classes: Channels of the logits.
        channels: Channels between the convolutions. None: a quarter of the encoder's channels.
        dropout: Dropout probability.
    """

    def __init__(
        self,
        encoder_channels: Sequence[int],
        num_classes: int,
        channels: int | None = None,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        width = max(1, encoder_channels[-1] // 4) if channels is None else channels
        self.convolution = conv_bn_relu(encoder_channels[-1], width, 3)
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Conv2d(width, num_classes, 1)
        self.hidden_channels = width

    def hidden(self, feats: list[Tensor]) -> Tensor:
        """(B, channels, h, w) at the stride of the last feature map, before dropout."""
        hidden: Tensor = self.convolution(feats[-1])
        return hidden

    def classify(self, hidden: Tensor) -> Tensor:
        """Logits (B, num_classes, h, w)."""
        logits: Tensor = self.classifier(self.dropout(hidden))
        return logits
