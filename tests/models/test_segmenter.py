import pytest
import torch
from torch import nn

from ssseg.errors import UserError
from ssseg.models import DECODERS, Segmenter
from ssseg.models.segmenter import evaluating
from ssseg.testing import tiny_network

SMALL = {"encoder": "test_resnet"}


@pytest.mark.parametrize("channels", [1, 3, 5])
def test_any_number_of_channels(channels):
    network = Segmenter(2, in_channels=channels, depth=3, **SMALL).eval()
    assert network(torch.randn(1, channels, 32, 32)).shape == (1, 2, 32, 32)


def test_the_halves_called_apart_are_the_whole():
    network = tiny_network().eval()
    image = torch.randn(2, 3, 37, 50)
    apart = network.upsample(network.decoder(network.encode(image)), image)
    torch.testing.assert_close(apart, network(image), rtol=0, atol=0)


@pytest.mark.parametrize("decoder", DECODERS)
def test_hidden_features_lead_to_the_same_logits(decoder):
    """As many channels as the decoder says; the gradient of the logits goes through them."""
    torch.manual_seed(0)
    encoder = "test_vit" if decoder == "dpt" else SMALL["encoder"]
    network = Segmenter(3, decoder=decoder, encoder=encoder).eval()
    image = torch.randn(1, 3, 128, 144)
    hidden, logits = network.hidden(image)
    torch.testing.assert_close(logits, network(image), rtol=0, atol=0)
    assert hidden.shape[:2] == (1, network.decoder.hidden_channels)
    (grad,) = torch.autograd.grad(logits.sum(), hidden)
    assert grad.any()


def test_padding_to_the_stride_does_not_move_the_picture():
    """The top-left part of a padded image gets the answer of the image that needed no padding."""
    network = tiny_network().eval()
    image = torch.randn(1, 3, 96, 96)
    whole, cropped = network(image), network(image[..., :93, :91])
    torch.testing.assert_close(whole[..., :16, :16], cropped[..., :16, :16])


def test_new_decoder_has_other_weights_and_new_shares_nothing():
    network = tiny_network()
    fresh = network.new_decoder()
    ours, theirs = next(network.decoder.parameters()), next(fresh.parameters())
    assert ours.shape == theirs.shape
    assert not torch.equal(ours, theirs)
    twin = network.new()
    pointers = {p.data_ptr() for p in network.parameters()}
    assert not pointers & {p.data_ptr() for p in twin.parameters()}
    for a, b in zip(network.encoder.parameters(), twin.encoder.parameters(), strict=True):
        assert torch.equal(a, b)


def test_hparams_make_a_twin():
    network = Segmenter(3, decoder="deeplabv2", decoder_options={"aspp_branches": 2}, **SMALL)
    twin = Segmenter(**network.hparams)
    assert twin.hparams == network.hparams
    twin.load_state_dict(network.state_dict())


def test_frozen_batchnorm_stays_in_eval_mode():
    network = Segmenter(2, depth=3, freeze_bn=True, **SMALL).train()
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    assert norms
    assert not any(norm.training for norm in norms)
    assert network.training


def test_evaluating_restores_the_mode():
    network = tiny_network().train()
    with evaluating(network):
        assert not network.training
        assert not network(torch.randn(1, 3, 32, 32)).requires_grad
    assert network.training


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"decoder": "unett"}, "did you mean 'unet'"),
        ({"encoder": "resnet81"}, "did you mean 'resnet18'"),
        (
            {"encoder": "test_vit_relpos", "decoder": "deeplabv2"},
            "encoder 'test_vit_relpos' cannot be built",
        ),
        ({**SMALL, "decoder": "deeplabv2", "decoder_options": {"aspp": 2}}, "'deeplabv2' cannot"),
        ({**SMALL, "weights": "missing.pth"}, "no weight file missing.pth"),
        ({**SMALL, "num_classes": 300}, "num_classes is 300"),
    ],
)
def test_impossible_networks_are_explained(options, complaint):
    with pytest.raises(UserError, match=complaint) as caught:
        Segmenter(**{"num_classes": 2, **options})
    assert "\n" not in str(caught.value)
