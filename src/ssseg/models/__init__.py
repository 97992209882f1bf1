"""Networks: timm encoders with standard decoders; encoder and decoder can be called separately.

The tables of names do not need torch; classes are imported when they are first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ssseg.models.networks import DECODERS, NETWORKS

if TYPE_CHECKING:
    from ssseg.models.ema import EMA
    from ssseg.models.segmenter import Segmenter

__all__ = ["DECODERS", "EMA", "NETWORKS", "Segmenter"]

_HOMES = {"EMA": "ema", "Segmenter": "segmenter"}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
