"""The metadata of an exported file: how to prepare its input and how to read its output."""

import json
import math
from typing import Any

import torch

from ssseg.prediction.predictor import Predictor
from ssseg.serialization import to_plain
from ssseg.version import __version__

DIVISORS = {"uint8": 255, "uint16": 65535, "float": 1}
ORDERS = {1: "grey", 3: "RGB", 4: "RGBA"}


def about(model: Predictor) -> dict[str, Any]:
    """The metadata of a model, plain values only."""
    data, trained = model.data, model.about
    divisor = DIVISORS[data.pixels]
    return {
        "data": to_plain(data),
        "preprocessing": f"(values / {divisor} - mean) / std per channel, float32, NCHW",
        "order": ORDERS.get(data.in_channels, "as in the files"),
        "divisor": divisor,
        "saved": model.name,
        "network": trained["network"],
        "method": trained["method"],
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
