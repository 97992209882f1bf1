"""GuidedMix-Net on a tiny network of its own."""

import torch

from ssseg.methods import GuidedMix
from ssseg.models import Segmenter
from ssseg.testing import NUM_CLASSES


def guided_network(**options):
    """The method's own network, tiny: attention at both of its stages."""
    return Segmenter(
        NUM_CLASSES,
        decoder="guidedmix",
        encoder="test_resnet",
        depth=3,
        encoder_options={"zero_init_last": False},
        decoder_options={"channels": (16, 16, 8), "min_stride": 2, **options},
    )


def made(network=None, **hparams):
    torch.manual_seed(0)
    method = GuidedMix(**{"variant": "paper", "warmup_steps": 0.0, "rampup_steps": 0.0, **hparams})
    method.setup(network or guided_network())
    return method.train()
