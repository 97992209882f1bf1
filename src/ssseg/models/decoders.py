"""Decoders by name: segmentation-models-pytorch's and ours."""

from typing import Any

import segmentation_models_pytorch as smp
from torch import nn

from ssseg.errors import UserError
from ssseg.models.annet import AnnetDecoder
from ssseg.models.deeplabv2 import DeepLabV2Decoder
from ssseg.models.deeplabv3plus import DeepLabV3PlusDecoder
from ssseg.models.dpt import DptDecoder
from ssseg.models.fcn import FcnDecoder
from ssseg.models.guidedmix_decoder import GuidedMixDecoder
from ssseg.models.layers import Encoder
from ssseg.models.vit import VitEncoder

_STRIDED = ("deeplabv3", "deeplabv3plus", "pan")  # smp passes their stride to the encoder
_U_SHAPED = ("manet", "unet", "unetplusplus")  # one width per encoder stage
_OURS: dict[str, type[nn.Module]] = {
    "annet": AnnetDecoder,
    "deeplabv2": DeepLabV2Decoder,
    "deeplabv3plus_plain": DeepLabV3PlusDecoder,
    "dpt": DptDecoder,
    "fcn": FcnDecoder,
    "guidedmix": GuidedMixDecoder,
}
_DILATED = ("deeplabv3plus_plain",)  # their dilations follow from the stride
_U_WIDTHS = (256, 128, 64, 32, 16)


def create_decoder(
    name: str, encoder: Encoder, recipe: dict[str, Any], options: dict[str, Any]
) -> nn.Module:
    """A freshly initialised decoder: feature maps -> logits at the decoder's own stride.

    Args:
        name: One of `ssseg.models.DECODERS`.
        encoder: The encoder that it will follow.
        recipe: The encoder's `encoder`, `depth`, `output_stride`, `in_channels`,
            `encoder_options`, and `num_classes`.
        options: Further arguments of the decoder; smp's start with `decoder_`.

    Raises:
        UserError: For options that it does not take, or an encoder that it does not go with.
    """
    _check_pair(name, encoder, recipe["encoder"])
    options = dict(options)
    try:
        if name in _OURS:
            if name in _DILATED:
                options.setdefault("output_stride", recipe["output_stride"])
            ours: nn.Module = _OURS[name](encoder.out_channels, recipe["num_classes"], **options)
            return ours
        if name in _STRIDED:
            options["encoder_output_stride"] = recipe["output_stride"]
        if name in _U_SHAPED:
            options.setdefault("decoder_channels", _U_WIDTHS[-recipe["depth"] :])
        # smp builds whole networks; the encoder made here on the way is dropped
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
    return nn.Sequential(network.decoder, network.segmentation_head)


def _check_pair(name: str, encoder: Encoder, encoder_name: str) -> None:
    """Refuse a decoder on feature maps of the other kind: of one stride, or of several."""
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
