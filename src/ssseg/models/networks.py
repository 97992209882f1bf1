"""Networks by name -> the options of `Segmenter`. This module does not import torch."""

from typing import Any

# decoder name -> (default output stride of the encoder, default depth of the encoder)
DECODERS = {
    "annet": (8, 5),
    "deeplabv2": (8, 5),
    "deeplabv3": (8, 5),
    "deeplabv3plus": (16, 5),
    "deeplabv3plus_plain": (16, 5),
    "dpt": (16, 4),
    "fcn": (8, 5),
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

NETWORKS: dict[str, dict[str, Any]] = {
    # for images of 64 x 64: a narrow ResNet-18 with four stages, 0.8 million parameters
    "small": {
        "decoder": "unet",
        "encoder": "resnet18",
        "depth": 4,
        "encoder_options": {"channels": [32, 64, 64, 64]},
    },
    **{name: {"decoder": name} for name in DECODERS},
    "dpt": {"decoder": "dpt", "encoder": "vit_small_patch14_dinov2"},
    # ResNets whose first layer is three 3 x 3 convolutions, as in UniMatch's code
    "unimatch-r50": {"decoder": "deeplabv3plus_plain", "encoder": "resnet50c.gluon_in1k"},
    "unimatch-r101": {"decoder": "deeplabv3plus_plain", "encoder": "resnet101c.gluon_in1k"},
}
