"""DPT beside a plain computation of what was published."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from ssseg.models.dpt import DptDecoder, sizes_for
from tests.models.feats import maps, shaken


class TestDpt:
    @pytest.mark.parametrize("grid", [(1, 1), (2, 3), (5, 4)])
    def test_in_the_published_order(self, grid):
        decoder = shaken(DptDecoder([3, 24, 24, 24, 24], 5, widths=(4, 6, 8, 10), features=8))
        feats = maps((2, 3, 28, 28), *[(2, 24, *grid)] * 4)
        levels = [narrow(f) for narrow, f in zip(decoder.narrow, feats[1:], strict=True)]
        first, second, _, fourth = decoder.resize
        levels[0] = F.conv_transpose2d(levels[0], first.weight, first.bias, stride=4)
        levels[1] = F.conv_transpose2d(levels[1], second.weight, second.bias, stride=2)
        levels[3] = F.conv2d(levels[3], fourth.weight, fourth.bias, stride=2, padding=1)
        levels = [
            F.conv2d(f, unify.weight, padding=1)
            for f, unify in zip(levels, decoder.unify, strict=True)
        ]

        def unit(x, parts):
            for conv in (parts.first, parts.second):
                x = F.conv2d(F.relu(x), conv.weight, conv.bias, padding=1)
            return x

        out = levels[3]
        for index in (3, 2, 1, 0):
            fuse = decoder.fuse[index]
            if index < 3:
                out = out + levels[index] + unit(levels[index], fuse.skip)
            out = out + unit(out, fuse.merge)
            height, width = levels[index].shape[-2:]
            size = levels[index - 1].shape[-2:] if index else (2 * height, 2 * width)
            out = F.interpolate(out, size, mode="bilinear", align_corners=True)
            out = F.conv2d(out, fuse.project.weight, fuse.project.bias)
        out = F.relu(F.conv2d(out, decoder.head[0].weight, decoder.head[0].bias, padding=1))
        out = F.conv2d(out, decoder.head[2].weight, decoder.head[2].bias)
        assert out.shape == (2, 5, 8 * grid[0], 8 * grid[1])
        torch.testing.assert_close(decoder(feats), out)

    def test_it_has_no_batchnorm_and_no_dropout(self):
        layers = [type(m) for m in DptDecoder([3, *[48] * 4], 5).modules()]
        assert not {nn.BatchNorm2d, nn.Dropout, nn.Dropout2d} & set(layers)

    def test_the_published_sizes(self):
        assert sizes_for(384) == ((48, 96, 192, 384), 64)
        assert sizes_for(1536) == ((1536,) * 4, 384)
        assert sizes_for(192) == ((24, 48, 96, 192), 32)
        with torch.device("meta"):
            base = DptDecoder([3, *[768] * 4], 21)
        # the published decoder has 10.9 million, with a unit that never gets a gradient
        dead = 2 * (128 * 128 * 9 + 128)
        assert sum(p.numel() for p in base.parameters()) + dead == 10_948_309

    @pytest.mark.parametrize("taps", [3, 5])
    def test_it_fuses_four_levels(self, taps):
        with pytest.raises(ValueError, match=f"the encoder gives {taps}"):
            DptDecoder([3, *[48] * taps], 5)
        with pytest.raises(ValueError, match="widths has 3 numbers"):
            DptDecoder([3, *[48] * 4], 5, widths=(8, 8, 8))
