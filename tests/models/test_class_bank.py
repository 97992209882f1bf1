import torch

from ssseg.models.class_bank import ClassBank


def keys(*numbers):
    """Keys of one channel, three of each class; None is no key."""
    filled = torch.tensor([[n is not None for n in row] for row in numbers])
    return torch.tensor([[float(n or 0) for n in row] for row in numbers])[..., None], filled


def test_every_class_keeps_its_newest_keys():
    bank = ClassBank(2, 4, 1)
    assert not bank.filled.any()
    assert bank.append(*keys((1, 2, 3), (9, None, None)))[0].tolist() == [0, 1, 2]
    assert bank.filled.tolist() == [[True, True, True, False], [True, False, False, False]]
    places = bank.append(*keys((4, 5, None), (None, None, None)))
    assert places[0, :2].tolist() == [3, 0]
    assert bank.keys[0, :, 0].tolist() == [5, 2, 3, 4]
    assert bank.keys[1, :, 0].tolist() == [9, 0, 0, 0]
    other = ClassBank(2, 4, 1)
    other.load_state_dict(bank.state_dict())
    for one in (bank, other):
        one.append(*keys((6, None, None), (8, None, None)))
    assert other.keys[..., 0].tolist() == [[5, 6, 3, 4], [9, 8, 0, 0]]
    assert torch.equal(bank.keys, other.keys)
    assert bank.keys.dtype == torch.float16
