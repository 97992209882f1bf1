import torch
from torch import nn

from ssseg.models.fcn import FcnDecoder
from tests.models.feats import maps, shaken


def test_fcn_is_torchvisions_head():
    from torchvision.models.segmentation.fcn import FCNHead

    decoder = shaken(FcnDecoder([3, 4, 16], 5))
    theirs = FCNHead(16, 5).double().eval()
    state = zip(theirs.state_dict(), decoder.state_dict().values(), strict=True)
    theirs.load_state_dict(dict(state))
    _, _, last = feats = maps((2, 3, 8, 8), (2, 4, 8, 8), (2, 16, 6, 7))
    torch.testing.assert_close(decoder(feats), theirs(last))
    assert [m.p for m in decoder.modules() if isinstance(m, nn.Dropout)] == [0.1]
