import pytest
import torch

from ssseg.models.auxiliary_decoder import AuxiliaryDecoder


@pytest.mark.parametrize(("stride", "factor"), [(1, 1), (2, 2), (8, 8), (14, 8), (32, 32)])
def test_features_are_enlarged_by_doublings_up_to_their_stride(stride, factor):
    logits = AuxiliaryDecoder(7, 3, stride)(torch.randn(2, 7, 2, 5))
    assert logits.shape == (2, 3, 2 * factor, 5 * factor)


def test_at_the_start_sub_pixels_are_equal():
    torch.manual_seed(0)
    feats = torch.randn(2, 7, 3, 4)
    logits = AuxiliaryDecoder(7, 3, 8)(feats)
    cells = logits.view(2, 3, 3, 8, 4, 8)
    torch.testing.assert_close(cells, cells[:, :, :, :1, :, :1].expand_as(cells))
    assert logits.min() < 0 < logits.max()
