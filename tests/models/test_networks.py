import pytest
import timm
import torch

from ssseg.errors import UserError
from ssseg.models import NETWORKS, Segmenter
from ssseg.models.encoder import has_weights, weights_origin
from ssseg.models.networks import OPTIMISERS, usual_network
from tests.cli.small_runs import fresh

PRETRAINED = sorted(name for name, options in NETWORKS.items() if "encoder" in options)


@pytest.mark.parametrize("name", [name for name in PRETRAINED if name != "small"])
def test_timm_has_weights_for_every_named_encoder(name):
    encoder = NETWORKS[name]["encoder"]
    assert timm.is_model(encoder)
    assert has_weights(encoder)
    assert "licence " in weights_origin(encoder, "imagenet")


@pytest.mark.parametrize("name", ["mobilenet", "convnext-tiny", "dinov2-s", "dinov3-s"])
def test_a_named_network_gives_logits_of_the_image_s_size(name):
    network = Segmenter(3, **NETWORKS[name]).eval()
    with torch.no_grad():
        assert network(torch.rand(1, 3, 65, 70)).shape == (1, 3, 65, 70)


def test_vision_transformers_come_with_the_rates_of_unimatch_v2():
    options = OPTIMISERS["dinov2-s"]
    assert options["lr"] * options["encoder_lr_scale"] == pytest.approx(5e-6)
    assert set(OPTIMISERS) == {name for name in NETWORKS if "dino" in name}


def test_a_processor_gets_a_small_pretrained_network():
    assert (usual_network(gpu=False), usual_network(gpu=True)) == ("mobilenet", "resnet50")


def test_auto_is_pretrained_for_three_channels_and_random_for_others():
    with pytest.raises(UserError) as error:  # the tests are offline
        Segmenter(3, encoder="mobilenetv2_100", weights="auto")
    assert "huggingface.co/timm/mobilenetv2_100" in str(error.value)
    assert "--network.weights FILE" in str(error.value)
    assert not Segmenter(3, in_channels=4, encoder="mobilenetv2_100", weights="auto").pretrained
    assert not Segmenter(3, encoder="resnet18", weights="random").pretrained


def test_an_encoder_without_published_weights_starts_from_random_ones():
    nowhere = next(model for model in timm.list_models("resnet*") if not has_weights(model))
    assert not Segmenter(2, encoder=nowhere, weights="auto", depth=3).pretrained


def test_names_of_networks_are_known_without_torch():
    code = "import sys; from ssseg.models import DECODERS, NETWORKS; print('dpt' in NETWORKS)"
    assert fresh(f"{code}; print('torch' in sys.modules)") == "True\nFalse\n"
