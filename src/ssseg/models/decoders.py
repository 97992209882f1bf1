"""Decoders: segmentation-models-pytorch's by name, DeepLab-v2's and GuidedMix-Net's."""

from typing import Any

import segmentation_models_pytorch as smp
from torch import nn

from ssseg.errors import UserError
from ssseg.models.deeplabv2 import DeepLabV2Decoder
from ssseg.models.guidedmix import GuidedMixDecoder

# decoder name -> (usual output stride of its encoder, usual depth of its encoder)
DECODERS = {
    "deeplabv2": (8, 5),
    "deeplabv3": (8, 5),
    "deeplabv3plus": (16, 5),
    "fpn": (32, 5),
    "guidedmix": (32, 5),
    "linknet": (32, 5),
    "manet": (32, 5),
    "pan": (16, 5),
    "pspnet": (8, 3),
    "segformer": (32, 5),
    "unet": (32, 5),
    "unetplusplus": (32, 5),
    "upernet": (32, 5),
}
_STRIDED = ("deeplabv3", "deeplabv3plus", "pan")  # smp passes their stride to the encoder
_U_SHAPED = ("manet", "unet", "unetplusplus")  # one width per encoder stage
_OURS = {"deeplabv2": DeepLabV2Decoder, "guidedmix": GuidedMixDecoder}
_U_WIDTHS = (256, 128, 64, 32, 16)


def create_decoder(
    name: str, encoder: nn.Module, recipe: dict[str, Any], options: dict[str, Any]
) -> nn.Module:
    """A freshly initialised decoder: feature maps -> logits at the decoder's own stride.

    Args:
        name: One of `DECODERS`.
        encoder: The encoder that it will follow.
        recipe: The encoder's `encoder`, `depth`, `output_stride`, `in_channels`,
            `encoder_options`, and `num_classes`.
        options: Further arguments of the decoder; smp's start with `decoder_`.
    """
    try:
        if name in _OURS:
            ours: nn.Module = _OURS[name](encoder.out_channels, recipe["num_classes"], **options)
            return ours
        options = dict(options)
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
