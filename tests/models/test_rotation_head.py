import pytest
import torch

from ssseg.models.rotation_head import RotationHead


@pytest.mark.parametrize("size", [(1, 1), (2, 9), (17, 17)])
def test_logits_of_any_size_give_four_scores(size):
    head = RotationHead(3)
    assert head(torch.randn(2, 3, *size)).shape == (2, 4)
    with torch.autocast("cpu", torch.bfloat16):
        assert head(torch.randn(2, 3, *size)).dtype == torch.float32
