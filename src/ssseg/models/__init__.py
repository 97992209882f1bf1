"""Networks: timm encoders with standard decoders, cut in two named halves."""

from ssseg.models.decoders import DECODERS
from ssseg.models.ema import EMA
from ssseg.models.networks import NETWORKS
from ssseg.models.segmenter import Segmenter

__all__ = ["DECODERS", "EMA", "NETWORKS", "Segmenter"]
