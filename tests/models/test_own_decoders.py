"""Decoders of this package beside plain computations of what was published."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from ssseg.models import Segmenter
from ssseg.models.annet import AnnetDecoder
from ssseg.models.deeplabv3plus import DeepLabV3PlusDecoder
from ssseg.models.dpt import DptDecoder, sizes_for
from ssseg.models.fcn import FcnDecoder


def shaken(module):
    """In double precision, with weights and statistics that are not zero anywhere."""
    generator = torch.Generator().manual_seed(1)
    module = module.double().eval()
    with torch.no_grad():
        for name, tensor in module.state_dict().items():
            if tensor.is_floating_point():
                noise = torch.rand(tensor.shape, generator=generator, dtype=tensor.dtype)
                tensor.add_(noise if "running" in name else 0.4 * noise - 0.2)
    return module


def maps(*shapes):
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes]


def normed(layers, feats):
    """Convolution, BatchNorm in eval mode, ReLU, with the values of a sequence of layers."""
    conv, norm = layers[0], layers[1]
    out = F.conv2d(feats, conv.weight, conv.bias, padding=conv.weight.shape[-1] // 2)
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()
    return F.relu((out - norm.running_mean[:, None, None]) * scale[:, None, None]
                  + norm.bias[:, None, None])  # fmt: skip


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


class TestAnnet:
    def attend(self, part, low, high):
        """One position after the other, of one image after the other."""
        shared = part.key is None
        out = torch.zeros(high.shape, dtype=high.dtype)
        query = normed(part.query, high)
        keys = query if shared else normed(part.key, low)
        values = F.conv2d(low, part.value.weight, part.value.bias)
        for image in range(len(high)):
            anchors = [
                torch.cat([F.adaptive_avg_pool2d(f[image], g).flatten(1) for g in (1, 3, 6, 8)], 1)
                for f in (keys, values)
            ]
            assert anchors[0].shape[1] == 110
            for row in range(high.shape[-2]):
                for column in range(high.shape[-1]):
                    scores = query[image, :, row, column] @ anchors[0] / 16
                    context = anchors[1] @ scores.softmax(0)
                    weight, bias = part.expand.weight[..., 0, 0], part.expand.bias
                    out[image, :, row, column] = weight @ context + bias
        return out

    @pytest.mark.parametrize("size", [(1, 1), (3, 5), (9, 10)])
    def test_every_position_attends_to_110_anchors(self, size):
        decoder = shaken(AnnetDecoder([3, 6, 8], 4, channels=10))
        feats = maps((2, 3, 40, 40), (2, 6, 2 * size[0], 2 * size[1]), (2, 8, *size))
        _, low, high = feats
        joined = torch.cat((self.attend(decoder.fusion, low, high), high), 1)
        conv, norm = decoder.fused[0], decoder.fused[1]
        fused = F.batch_norm(F.conv2d(joined, conv.weight), norm.running_mean, norm.running_var,
                             norm.weight, norm.bias, eps=norm.eps)  # fmt: skip
        reduced = normed(decoder.reduce, fused)
        joined = torch.cat((self.attend(decoder.within, reduced, reduced), reduced), 1)
        wanted = decoder.classifier(normed(decoder.joined[0], joined))
        torch.testing.assert_close(decoder(feats), wanted)

    def test_the_context_starts_at_zero_and_then_everything_learns(self):
        decoder = AnnetDecoder([3, 6, 8], 4, channels=10)
        for attention in (decoder.fusion, decoder.within):
            assert not attention.expand.weight.any()
            nn.init.normal_(attention.expand.weight)
        feats = [f.float() for f in maps((2, 3, 40, 40), (2, 6, 8, 9), (2, 8, 8, 9))]
        decoder(feats).square().mean().backward()
        assert not [n for n, p in decoder.named_parameters() if p.grad is None or not p.grad.any()]


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


def test_fcn_is_torchvisions_head():
    from torchvision.models.segmentation.fcn import FCNHead

    decoder = shaken(FcnDecoder([3, 4, 16], 5))
    theirs = FCNHead(16, 5).double().eval()
    state = zip(theirs.state_dict(), decoder.state_dict().values(), strict=True)
    theirs.load_state_dict(dict(state))
    _, _, last = feats = maps((2, 3, 8, 8), (2, 4, 8, 8), (2, 16, 6, 7))
    torch.testing.assert_close(decoder(feats), theirs(last))
    assert [m.p for m in decoder.modules() if isinstance(m, nn.Dropout)] == [0.1]
