"""Decoders by name: those of segmentation-models-pytorch and those of ssseg."""

from typing import Any

import segmentation_models_pytorch as smp
from torch import Tensor, nn

from ssseg.errors import UserError
from ssseg.models.annet import AnnetDecoder
from ssseg.models.deeplabv2 import DeepLabV2Decoder
from ssseg.models.deeplabv3plus import DeepLabV3PlusDecoder
from ssseg.models.dpt import DptDecoder
from ssseg.models.fcn import FcnDecoder
from ssseg.models.guidedmix_decoder import GuidedMixDecoder
from ssseg.models.layers import Decoder, Encoder
from ssseg.models.vit import VitEncoder

_STRIDED = ("deeplabv3", "deeplabv3plus", "pan")  # smp takes an output stride for these
_U_SHAPED = ("manet", "unet", "unetplusplus")  # these have one width per encoder stage
_OURS: dict[str, type[Decoder]] = {
    "annet": AnnetDecoder,
    "deeplabv2": DeepLabV2Decoder,
    "deeplabv3plus_plain": DeepLabV3PlusDecoder,
    "dpt": DptDecoder,
    "fcn": FcnDecoder,
    "guidedmix": GuidedMixDecoder,
}
_DILATED = ("deeplabv3plus_plain",)  # dilations depend on the output stride
_U_WIDTHS = (256, 128, 64, 32, 16)


class SmpDecoder(Decoder, nn.Sequential):
    """A decoder of segmentation-models-pytorch and its head.

    Args:
        decoder: Feature maps -> the hidden features.
        head: Hidden features -> logits; its first convolution is the only one.
    """

    def __init__(self, decoder: nn.Module, head: nn.Module) -> None:
        super().__init__(decoder, head)
        conv = next(layer for layer in head.modules() if isinstance(layer, nn.Conv2d))
        self.hidden_channels = conv.in_channels

    def hidden(self, feats: list[Tensor]) -> Tensor:
        """(B, hidden_channels, h, w)."""
        hidden: Tensor = self[0](feats)
        return hidden

    def classify(self, hidden: Tensor) -> Tensor:
        """Logits, at the stride of the features or at that of the head."""
        logits: Tensor = self[1](hidden)
        return logits


def create_decoder(
    name: str, encoder: Encoder, recipe: dict[str, Any], options: dict[str, Any]
) -> Decoder:
    """Create a newly initialised decoder: feature maps -> logits at the stride of the decoder.

    Args:
        name: One of `ssseg.models.DECODERS`.
        encoder: The encoder whose feature maps the decoder takes.
        recipe: `encoder`, `depth`, `output_stride`, `in_channels`, `encoder_options` and
            `num_classes` of the network, as in `Segmenter.hparams`.
        options: Further arguments of the decoder; those of smp start with `decoder_`.

    Raises:
        UserError: For options that the decoder does not have, or an encoder that does not fit it.
    """
    _check_pair(name, encoder, recipe["encoder"])
    options = dict(options)
    try:
        if name in _OURS:
            if name in _DILATED:
                options.setdefault("output_stride", recipe["output_stride"])
            ours: Decoder = _OURS[name](encoder.out_channels, recipe["num_classes"], **options)
            return ours
        if name in _STRIDED:
            options["encoder_output_stride"] = recipe["output_stride"]
        if name in _U_SHAPED:
            options.setdefault("decoder_channels", _U_WIDTHS[-recipe["depth"] :])
        # smp builds whole networks; only the decoder and the head are used
        network = smp.create_model(
            name,
            f"tu-{recipe['encoder']}",
            encoder_weights=None,
            encoder_depth=recipe["depth"],
            in_channels=recipe["in_channels"],
            classes=recipe["num_classes"],
            **options,
            **recipe["encoder_options"],
        )
    except (TypeError, ValueError, KeyError) as error:
        raise UserError(
            f"decoder {name!r} cannot be built with options {options}: {error}"
        ) from error
    return SmpDecoder(network.decoder, network.segmentation_head)


def _check_pair(name: str, encoder: Encoder, encoder_name: str) -> None:
    """Raise `UserError` if the decoder needs one stride and the encoder has several, or reverse."""
    vit = isinstance(encoder, VitEncoder)
    if name == "dpt" and not vit:
        raise UserError(
            f"decoder 'dpt' needs a vision transformer, but encoder {encoder_name!r} gives feature "
            "maps of several strides; give such an encoder, e.g. vit_small_patch14_dinov2"
        )
    if vit and name not in _OURS:
        raise UserError(
            f"decoder {name!r} needs feature maps of several strides, but encoder {encoder_name!r} "
            f"is a vision transformer, which has one; give one of {', '.join(sorted(_OURS))}"
        )
