"""Networks by name: the options of `Segmenter` that a name stands for."""

from typing import Any

from ssseg.models.decoders import DECODERS

NETWORKS: dict[str, dict[str, Any]] = {
    # 0.8 million parameters for images of 64 x 64: a slim ResNet-18 of four stages
    "small": {
        "decoder": "unet",
        "encoder": "resnet18",
        "depth": 4,
        "encoder_options": {"channels": [32, 64, 64, 64]},
    },
    **{name: {"decoder": name} for name in DECODERS},
}
