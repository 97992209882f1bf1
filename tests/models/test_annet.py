"""ANNet beside a plain computation of what was published."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from ssseg.models.annet import AnnetDecoder
from tests.models.feats import maps, normed, shaken


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
