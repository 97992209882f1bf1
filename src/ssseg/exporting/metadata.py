"""What an exported file says of itself: all that is needed to feed it and to read its answer."""

import json
import math
from typing import Any

import torch

from ssseg.prediction.predictor import Predictor
from ssseg.version import __version__

DIVISORS = {"uint8": 255, "uint16": 65535, "float": 1}
ORDERS = {1: "grey", 3: "RGB", 4: "RGBA"}


def about(model: Predictor) -> dict[str, Any]:
    """The metadata of a model, plain values only."""
    card, trained = model.card, model.card.about
    divisor = DIVISORS[card.pixels]
    data = trained["data"]
    return {
        "classes": [{"name": c.name, "color": list(c.color)} for c in model.classes],
        "preprocessing": f"(values / {divisor} - mean) / std per channel, float32, NCHW",
        "channels": card.in_channels,
        "order": ORDERS.get(card.in_channels, "as in the files"),
        "pixels": card.pixels,
        "divisor": divisor,
        "mean": list(card.mean),
        "std": list(card.std),
        "image_size": None if card.image_size is None else list(card.image_size),
        "crop_size": None if card.crop_size is None else list(card.crop_size),
        "saved": model.name,
        "network": trained["network"],
        "method": trained["method"],
        "data": data["name"],
        "split": data.get("split"),
        "split_hash": data.get("split_hash"),
        "scores": trained.get("scores", {}),
        "versions": {
            "ssseg": trained.get("version"),
            "exported_by": __version__,
            "torch": torch.__version__,
        },
    }


def about_json(model: Predictor) -> str:
    """The same as text; scores of absent classes are null, for JSON knows no NaN."""
    return json.dumps(_without_nan(about(model)), ensure_ascii=False, allow_nan=False)


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value
