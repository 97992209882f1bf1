import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from ssseg.errors import UserError
from ssseg.models import DECODERS, Segmenter
from ssseg.models.deeplabv2 import DILATIONS, DeepLabV2Decoder
from ssseg.models.segmenter import evaluating
from ssseg.testing import tiny_network

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


@pytest.mark.parametrize("channels", [1, 3, 5])
def test_any_number_of_channels(channels):
    network = Segmenter(2, in_channels=channels, depth=3, **SMALL).eval()
    assert network(torch.randn(1, channels, 32, 32)).shape == (1, 2, 32, 32)


def test_the_halves_called_apart_are_the_whole():
    network = tiny_network().eval()
    image = torch.randn(2, 3, 37, 50)
    apart = network.upsample(network.decoder(network.encode(image)), image)
    torch.testing.assert_close(apart, network(image), rtol=0, atol=0)


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


def test_weights_of_a_local_file_are_loaded(tmp_path):
    import timm

    torch.manual_seed(3)
    donor = timm.create_model("test_resnet")
    save_file(donor.state_dict(), tmp_path / "donor.safetensors")
    torch.save(donor.state_dict(), tmp_path / "donor.pth")
    for name in ("donor.safetensors", "donor.pth"):
        network = Segmenter(2, weights=str(tmp_path / name), depth=3, **SMALL)
        loaded = network.encoder.model.state_dict()
        assert torch.equal(loaded["conv1.0.weight"], donor.state_dict()["conv1.0.weight"])
        assert torch.equal(
            loaded["layer1.0.conv1.weight"], donor.state_dict()["layer1.0.conv1.weight"]
        )
        assert network.pretrained


def test_weights_are_adapted_to_other_channel_counts(tmp_path):
    import timm

    save_file(timm.create_model("test_resnet").state_dict(), tmp_path / "donor.safetensors")
    weights = str(tmp_path / "donor.safetensors")
    network = Segmenter(2, in_channels=6, weights=weights, depth=3, **SMALL)
    assert network(torch.randn(1, 6, 32, 32)).shape == (1, 2, 32, 32)


def test_weights_of_another_encoder_are_refused(tmp_path):
    import timm

    file = tmp_path / "other.safetensors"
    save_file(timm.create_model("test_efficientnet").state_dict(), file)
    with pytest.raises(
        UserError, match=r"other.safetensors does not hold .* encoder 'test_resnet'"
    ):
        Segmenter(2, weights=str(file), **SMALL)


def test_weights_of_another_width_are_refused(tmp_path):
    import timm

    file = tmp_path / "wide.safetensors"
    save_file(timm.create_model("resnet18", channels=(32, 64, 64, 96)).state_dict(), file)
    with pytest.raises(UserError, match="does not fit encoder 'resnet18'"):
        Segmenter(2, weights=str(file), encoder="resnet18")


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


def test_a_file_that_is_no_weight_file_is_refused(tmp_path):
    file = tmp_path / "notes.pth"
    file.write_bytes(b"not a state dict")
    with pytest.raises(UserError, match=r"notes.pth cannot be read as a weight file"):
        Segmenter(2, weights=str(file), **SMALL)


@pytest.mark.parametrize("branches", [2, 4])
def test_deeplabv2_sums_its_dilated_convolutions(branches):
    decoder = DeepLabV2Decoder([3, 8], 5, aspp_branches=branches).double()
    feats = [torch.randn(2, 3, 20, 20).double(), torch.randn(2, 8, 30, 26).double()]
    assert [b.dilation[0] for b in decoder.branches] == list(DILATIONS[:branches])
    wanted = sum(
        nn.functional.conv2d(feats[1], b.weight, b.bias, padding=d, dilation=d)
        for b, d in zip(decoder.branches, (6, 12, 18, 24), strict=False)
    )
    torch.testing.assert_close(decoder(feats), wanted)
