"""Networks by name -> the options that a name stands for. This module does not import torch."""

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
        "weights": "random",
        "depth": 4,
        "encoder_options": {"channels": [32, 64, 64, 64]},
    },
    **{name: {"decoder": name} for name in DECODERS},
    "mobilenet": {"decoder": "deeplabv3plus", "encoder": "mobilenetv2_100"},
    "resnet50": {"decoder": "deeplabv3plus", "encoder": "resnet50"},
    "resnet101": {"decoder": "deeplabv3plus", "encoder": "resnet101"},
    "convnext-tiny": {"decoder": "upernet", "encoder": "convnext_tiny"},
    "convnext-small": {"decoder": "upernet", "encoder": "convnext_small"},
    "dpt": {"decoder": "dpt", "encoder": "vit_small_patch14_dinov2"},
    "dinov2-s": {"decoder": "dpt", "encoder": "vit_small_patch14_dinov2"},
    "dinov2-b": {"decoder": "dpt", "encoder": "vit_base_patch14_dinov2"},
    "dinov2-l": {"decoder": "dpt", "encoder": "vit_large_patch14_dinov2"},
    "dinov3-s": {"decoder": "dpt", "encoder": "vit_small_patch16_dinov3"},
    "dinov3-b": {"decoder": "dpt", "encoder": "vit_base_patch16_dinov3"},
    # ResNets whose first layer is three 3 x 3 convolutions, as in UniMatch's code
    "unimatch-r50": {"decoder": "deeplabv3plus_plain", "encoder": "resnet50c.gluon_in1k"},
    "unimatch-r101": {"decoder": "deeplabv3plus_plain", "encoder": "resnet101c.gluon_in1k"},
}
"""The options of `Segmenter` that a name stands for."""

# UniMatch V2 (Yang et al., TPAMI 2025): 5e-6 for the encoder and 40 times that for the decoder
_TRANSFORMER = {"name": "adamw", "lr": 2e-4, "encoder_lr_scale": 0.025, "weight_decay": 0.01}

OPTIMISERS: dict[str, dict[str, Any]] = {
    name: _TRANSFORMER for name in NETWORKS if name.startswith("dino")
}
"""The options of the optimiser that a name stands for as well."""


def network_for(named: str | None) -> str:
    """The network that images are trained with by default, on this machine.

    Args:
        named: The one that their data set names, if it names one.
    """
    import torch

    return named or usual_network(torch.cuda.is_available())


def usual_network(gpu: bool) -> str:
    """The network for photographs where none is named.

    Args:
        gpu: Whether it is trained on a GPU; on a CPU a ResNet-50 takes hours.
    """
    return "resnet50" if gpu else "mobilenet"
