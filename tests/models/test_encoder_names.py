"""Encoders under the names that other libraries give them."""

import re

import pytest
import timm

from ssseg.errors import UserError
from ssseg.models import Segmenter
from ssseg.models.encoder_names import unknown_encoder

KNOWN_AS = {
    "mobilenet_v2": "mobilenetv2_100",
    "mobilenet_v3_large": "mobilenetv3_large_100",
    "efficientnet-b0": "efficientnet_b0",
    "timm-efficientnet-b0": "efficientnet_b0",
    "tu-resnet18": "resnet18",
    "ResNet-18": "resnet18",
    "se_resnext50_32x4d": "seresnext50_32x4d",
    "inceptionv4": "inception_v4",
    "timm/resnet18.a1_in1k": "resnet18.a1_in1k",
    "hf_hub:timm/resnet18.a1_in1k": "resnet18.a1_in1k",
    "swin_t": "swin_tiny_patch4_window7_224",
    "swin_v2_b": "swinv2_base_window8_256",
    "regnet_y_1_6gf": "regnety_016",
    "regnet_x_400mf": "regnetx_004",
    "regnet_y_128gf": "regnety_1280",
    "mnasnet1_0": "mnasnet_100",
    "resnet81": "resnet18",
    **{f"mit_b{size}": f"pvt_v2_b{size}" for size in range(6)},
    "nvidia/mit-b0": "pvt_v2_b0",
}


@pytest.mark.parametrize(("name", "timms"), KNOWN_AS.items())
def test_a_name_from_elsewhere_leads_to_timms(name, timms):
    assert not timm.is_model(name)
    assert timm.is_model(timms)
    said = str(unknown_encoder(name))
    assert said.startswith(f"unknown encoder {name!r}")
    assert re.findall("'([^' ]+)'", said)[-1] == timms


def test_a_family_leads_to_its_members():
    said = str(unknown_encoder("resnet"))
    assert "did you mean one of resnet18, resnet26, resnet34, resnet50, resnet101?" in said


@pytest.mark.parametrize("name", ["squeezenet1_0", "shufflenet_v2_x1_0", "googlenet", ""])
def test_what_timm_has_nothing_like_is_not_guessed(name):
    assert "did you mean" not in str(unknown_encoder(name))
    assert "timm.list_models()" in str(unknown_encoder(name))


def test_a_network_says_so():
    with pytest.raises(UserError, match=r"timm does not have SegFormer's encoder.*'pvt_v2_b0'"):
        Segmenter(3, encoder="mit_b0")
