import pytest
import torch

from ssseg.models import DECODERS, Segmenter

SMALL = {"encoder": "test_resnet"}

VIT = {"encoder": "test_vit"}


@pytest.mark.parametrize("decoder", sorted(DECODERS))
def test_every_decoder_answers_at_input_resolution(decoder):
    network = Segmenter(4, decoder=decoder, **(VIT if decoder == "dpt" else SMALL)).eval()
    # pan pools its deepest features by 8, so they must have a few pixels
    side = 130 if decoder == "pan" else 47
    with torch.no_grad():
        logits = network(torch.randn(2, 3, side, side + 21))
    assert logits.shape == (2, 4, side, side + 21)
