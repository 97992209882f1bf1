import copy

import torch
from pytorch_lightning import Callback

from ssseg.models import Segmenter
from tests.conftest import make_module, make_trainer

TINY = {"embed_dim": 48, "depth": 4, "num_heads": 2}


def make(name="vit_small_patch14_dinov2", decoder="dpt", options=None, **given):
    torch.manual_seed(0)
    options = TINY if options is None else options
    return Segmenter(4, decoder=decoder, encoder=name, encoder_options=options, **given)


def shaken(module):
    """With weights that are not zero anywhere, as after some training."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for p in module.parameters():
            p.add_(0.3 * torch.randn(p.shape, generator=generator))
    return module


def draw(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


class SaveAt(Callback):
    def __init__(self, step, path):
        self.step, self.path = step, path

    def on_train_batch_end(self, trainer, *_):
        if trainer.global_step == self.step:
            trainer.save_checkpoint(self.path)
            trainer.should_stop = True


def assert_resumes_exactly(folder, network, data, steps):
    """Straight, and from half way with everything else forgotten."""
    half = folder / "half.ckpt"
    modules = [make_module("classmix", network=copy.deepcopy(network)) for _ in range(3)]
    straight, first, resumed = modules
    make_trainer(steps, folder).fit(straight, data())
    make_trainer(steps, folder, callbacks=[SaveAt(steps // 2, half)]).fit(first, data())
    with torch.no_grad():
        for p in resumed.parameters():
            p.add_(torch.ones_like(p))
    make_trainer(steps, folder).fit(resumed, data(), ckpt_path=half)
    theirs = resumed.state_dict()
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in straight.state_dict().items())
    return straight


def dpt_on(name, options=None, **given):
    torch.manual_seed(0)
    return Segmenter(8, decoder="dpt", encoder=name, encoder_options=options, **given)
