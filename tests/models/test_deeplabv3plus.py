"""DeepLabV3+ beside a plain computation of what was published."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from ssseg.models import Segmenter
from ssseg.models.deeplabv3plus import DeepLabV3PlusDecoder
from tests.models.feats import maps, normed, shaken


class TestDeepLabV3Plus:
    def test_beside_a_plain_computation(self):
        decoder = shaken(DeepLabV3PlusDecoder([3, 4, 6, 8], 5, channels=7, low_channels=3))
        feats = maps((2, 3, 40, 40), (2, 4, 20, 20), (2, 6, 12, 14), (2, 8, 5, 4))
        branches = []
        first, *dilated, pooled = decoder.aspp.convs
        branches.append(normed(first, feats[3]))
        for branch, rate in zip(dilated, (6, 12, 18), strict=True):
            conv, norm = branch[0], branch[1]
            out = F.conv2d(feats[3], conv.weight, padding=rate, dilation=rate)
            branches.append(F.relu(norm(out)))
        mean = normed(list(pooled)[1:], feats[3].mean((2, 3), keepdim=True))
        branches.append(mean.expand(-1, -1, 5, 4))
        deep = normed(decoder.aspp.project, torch.cat(branches, 1))
        deep = F.interpolate(deep, (12, 14), mode="bilinear", align_corners=True)
        out = torch.cat((deep, normed(decoder.low, feats[2])), 1)
        for layers in decoder.fuse:
            out = normed(layers, out)
        wanted = F.conv2d(out, decoder.classifier.weight, decoder.classifier.bias)
        torch.testing.assert_close(decoder(feats), wanted)

    @pytest.mark.parametrize(("stride", "rates"), [(16, [6, 12, 18]), (8, [12, 24, 36])])
    def test_where_it_differs_from_the_library(self, stride, rates):
        with torch.device("meta"):
            decoder = Segmenter(
                5, decoder="deeplabv3plus_plain", encoder="test_resnet", output_stride=stride
            ).decoder
        threes = [m for m in decoder.modules() if isinstance(m, nn.Conv2d) and m.kernel_size[0] > 1]
        assert [m.dilation[0] for m in threes if m.dilation[0] > 1] == rates
        assert len(threes) == 5
        assert all(m.groups == 1 for m in threes)
        assert not any(m.p for m in decoder.modules() if isinstance(m, nn.Dropout))

    def test_its_options_are_the_librarys_choices(self):
        with torch.device("meta"):
            decoder = DeepLabV3PlusDecoder(
                [3, 4, 6, 8], 5, 16, (12, 24, 36), aspp_separable=True, aspp_dropout=0.5
            )
        dilated = [m for m in decoder.modules() if getattr(m, "dilation", (1,))[0] > 1]
        assert [m.dilation[0] for m in dilated] == [12, 24, 36]
        assert all(m.groups == m.in_channels for m in dilated)
        assert any(m.p == 0.5 for m in decoder.modules() if isinstance(m, nn.Dropout))

    def test_it_needs_features_of_stride_4(self):
        with pytest.raises(ValueError, match="three stages"):
            DeepLabV3PlusDecoder([3, 4, 6], 5)
