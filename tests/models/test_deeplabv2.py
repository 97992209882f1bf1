import pytest
import torch
from torch import nn

from ssseg.models.deeplabv2 import DILATIONS, DeepLabV2Decoder


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
