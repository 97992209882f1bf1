import copy

import pytest
import torch

from ssseg.errors import UserError
from ssseg.methods.guidedmix_released import GuidedMixReleased
from ssseg.testing import losses, make_method, step, tiny_batch
from ssseg.types import Batch, Labeled, Unlabeled


class Pointwise(torch.nn.Module):
    """Linear in the image: an encoder and a decoder of one pixel, without bias."""

    class Decoder(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = torch.nn.Conv2d(6, 3, 1, bias=False).double()

        def forward(self, feats):
            return self.conv(feats[-1])

    def __init__(self):
        super().__init__()
        self.num_classes, self.freeze_bn = 3, False
        self.encoder = torch.nn.Conv2d(3, 6, 1, bias=False).double()
        self.decoder = self.new_decoder()

    def new_decoder(self):
        return self.Decoder()

    def encode(self, image):
        return [self.encoder(image)]

    def upsample(self, logits, image):
        return logits


def made(network=None, **options):
    if network is None:
        return make_method(GuidedMixReleased, options)
    torch.manual_seed(0)
    method = GuidedMixReleased(warmup_steps=0.0, **options)
    method.setup(network)
    return method.train()


def photographs():
    g = torch.Generator().manual_seed(1)
    image, other = (torch.randn(n, 3, 8, 8, generator=g, dtype=torch.float64) for n in (3, 4))
    label = torch.randint(0, 3, (3, 8, 8), generator=g)
    valid = torch.ones(4, 8, 8, dtype=torch.bool)
    valid[0, :3] = False
    return Batch(Labeled(image, label), Unlabeled([other], valid))


def sigmoid_focal(logit, is_class):
    """Lin et al., Eq. 5, with gamma and alpha 0.5 as in the released configurations."""
    p = 1 / (1 + torch.exp(-logit))
    p = p if is_class else 1 - p
    return -0.5 * (1 - p).sqrt() * p.log()


def test_a_plain_program_gets_the_same_loss():
    """One share for the whole batch, features blended, logits subtracted, focal on the argmax."""
    torch.manual_seed(0)
    method, batch = made(Pointwise(), lambda_max=0.4, weight=2.0), photographs()
    unsup = method.losses(batch, step(5)).losses["unsup"]

    g = step(5).generator
    order = torch.randperm(6, generator=g)[:4] % 3
    lam = float(0.4 * torch.rand(1, generator=g))
    encode, read = method.student.encoder, method.mix_decoder.conv
    direct = method.student.decoder.conv
    errors = []
    with torch.no_grad():
        for i, k in enumerate(order.tolist()):
            ours = encode(batch.labeled.image[k][None])
            theirs = encode(batch.unlabeled.views[0][i][None])
            left = (read(lam * ours + (1 - lam) * theirs) - lam * direct(ours))[0]
            best = direct(theirs)[0].argmax(0)
            for row, column in batch.unlabeled.valid[i].nonzero().tolist():
                pixel = left[:, row, column]
                terms = [sigmoid_focal(pixel[c], c == best[row, column]) for c in range(3)]
                errors.append(sum(terms) / 3)
    torch.testing.assert_close(unsup, 2 * torch.stack(errors).mean(), rtol=1e-6, atol=0)


def test_a_linear_network_with_two_equal_decoders_leaves_the_share_of_the_unlabeled_image():
    """As printed: M_mix - lam M_l = (1 - lam) M_u, not M_u."""
    torch.manual_seed(0)
    method, batch = made(Pointwise()), photographs()
    method.mix_decoder.load_state_dict(method.student.decoder.state_dict())
    pseudo = method.losses(batch, step(5)).pseudo
    ratio = pseudo.prediction / pseudo.label
    assert ratio.std() < 1e-6  # shares have 32 bits
    assert 0.5 < ratio.mean() < 1


def test_terms_and_networks():
    method = made()
    out = losses(method, tiny_batch(1))
    assert set(out.losses) == {"sup", "unsup"}
    assert set(method.networks) == {"student"}
    early = method.losses(tiny_batch(1), step(index=0))
    assert set(early.losses) == {"sup", "unsup"}  # warm-up of 0 steps, as in the code
    waiting = made(warmup_steps=0.3)
    assert set(waiting.losses(tiny_batch(1), step(index=29)).losses) == {"sup"}
    assert set(waiting.losses(tiny_batch(1), step(index=30)).losses) == {"sup", "unsup"}


def test_features_are_mixed_for_a_second_decoder():
    method = made()
    calls = []
    method.student.encoder.register_forward_hook(lambda *_: calls.append(1))
    out = losses(method, tiny_batch(1))
    assert len(calls) == 1  # no image is mixed
    grads = torch.autograd.grad(out.losses["unsup"], list(method.mix_decoder.parameters()))
    assert sum(g.any() for g in grads) > len(grads) / 2
    # the direct prediction is a target, but the labeled one that is subtracted is not detached
    decoder = list(method.student.decoder.parameters())
    heads = torch.autograd.grad(losses(method, tiny_batch(1)).losses["unsup"], decoder[-2:])
    assert all(g.any() for g in heads)


def test_pictures_are_the_columns_of_figure_5():
    method = made()
    before = copy.deepcopy(method.state_dict())
    pictures = method.pictures(tiny_batch(1), step())
    assert [p.title for p in pictures] == [
        *("labeled", "its truth", "unlabeled", "mix"),
        *("prediction of the mix", "decoupled mask", "direct prediction"),
    ]
    assert all(torch.equal(t, before[n]) for n, t in method.state_dict().items())


def test_a_bound_above_a_half_is_refused():
    with pytest.raises(UserError, match="lambda_max in"):
        GuidedMixReleased(lambda_max=0.6)
