import pytest
import torch

from ssseg.errors import UserError
from ssseg.training.trainer_errors import in_one_sentence


def test_an_operation_without_a_deterministic_form_is_one_sentence():
    torch.use_deterministic_algorithms(True)
    try:
        said = r"deterministic is true, but put_ has .*; give"
        with pytest.raises(UserError, match=said), in_one_sentence():
            torch.zeros(3).put_(torch.tensor([0]), torch.ones(1))
    finally:
        torch.use_deterministic_algorithms(False)
    with pytest.raises(RuntimeError, match="another"), in_one_sentence():
        raise RuntimeError("another")
