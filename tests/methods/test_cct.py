"""CCT: what its decoders read, and that the main decoder's prediction is a constant."""

import pytest
import torch

from ssseg.errors import UserError
from ssseg.methods.cct import CCT, PERTURBATIONS, perturbed
from ssseg.models import Segmenter
from ssseg.testing import make_method, step, tiny_batch


@pytest.fixture(scope="module")
def batch():
    made = tiny_batch(CCT.num_views)
    made.unlabeled.valid[0, :, 20:] = False
    return made


def only(**counts):
    return dict.fromkeys(PERTURBATIONS, 0) | counts


def made(**hparams):
    method = make_method(CCT, hparams)
    method.student.freeze_bn = True
    return method.train()


def test_the_term_is_the_mean_over_decoders_classes_and_valid_pixels(batch):
    """`object_mask` and `context_mask` are the perturbations without random numbers."""
    method = made(**only(object_mask=1, context_mask=2))
    weak, valid, student = batch.unlabeled.views[0], batch.unlabeled.valid, method.student
    target = student(weak).detach().softmax(1)
    deepest = student.encode(weak)[-1]
    stride = weak.shape[-1] // deepest.shape[-1]
    label = target.argmax(1)[:, stride // 2 :: stride, stride // 2 :: stride][:, None]
    method.background = label.flatten().mode().values.item()
    foreground = label != method.background
    assert foreground.any()
    term = method.losses(batch, step()).losses["unsup"]
    total = 0.0
    for decode, keeps in zip(
        method.auxiliaries, (~foreground, foreground, foreground), strict=True
    ):
        probs = student.upsample(decode(deepest * keeps), weak).softmax(1)
        errors = (probs - target).square().movedim(1, -1)[valid]
        total = total + errors.mean() / 3
    torch.testing.assert_close(term, 30 * total)
    parameters = [*student.encoder.parameters(), *method.auxiliaries.parameters()]
    grads, wanted = (
        torch.autograd.grad(loss, parameters, retain_graph=True) for loss in (term, 30 * total)
    )
    for ours, theirs in zip(grads, wanted, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)


def test_the_target_trains_nothing(batch):
    method = made()
    term = method.losses(batch, step()).losses["unsup"]
    parameters = list(method.student.decoder.parameters())
    grads = torch.autograd.grad(term, parameters, allow_unused=True)
    assert all(grad is None for grad in grads)


@pytest.mark.parametrize("kind", PERTURBATIONS)
def test_every_perturbation_changes_features_and_lets_their_gradient_through(kind):
    method, g = made(**only(**{kind: 1})), torch.Generator().manual_seed(0)
    (decode,) = method.auxiliaries
    channels = method.student.encoder.out_channels[-1]
    feats = torch.rand(2, channels, 4, 4, generator=g).requires_grad_()
    foreground = torch.rand(2, 4, 4, generator=g) < 0.5
    out = perturbed(kind, feats, foreground, decode, g)
    assert out.shape == feats.shape
    assert not torch.equal(out, feats)
    (grad,) = torch.autograd.grad(out.sum(), feats)
    assert grad.any()
    if kind == "vat":
        norms = (out - feats).flatten(1).norm(dim=1)
        torch.testing.assert_close(norms, torch.full((2,), 2.0))


def test_masks_of_objects_and_context_divide_the_features():
    feats, foreground = torch.randn(2, 3, 4, 4), torch.rand(2, 4, 4) < 0.5
    parts = [
        perturbed(kind, feats, foreground, lambda z: z, None)
        for kind in ("object_mask", "context_mask")
    ]
    assert torch.equal(parts[0] + parts[1], feats)


def test_the_weight_grows_after_the_warm_up(batch):
    method = made(warmup_steps=10, rampup_steps=40, **only(object_mask=1))
    terms = [method.losses(batch, step(index=index)).losses for index in (9, 10, 50)]
    assert "unsup" not in terms[0]
    ratio = terms[1]["unsup"] / terms[2]["unsup"]
    assert ratio.item() == pytest.approx(torch.tensor(-5.0).exp().item(), rel=1e-4)


def test_decoders_are_counted_and_need_a_background_for_some():
    assert CCT(**only(noise=2, vat=1)).kinds == ["noise", "noise", "vat"]
    assert len(CCT().kinds) == 7
    with pytest.raises(UserError, match="cct has no auxiliary decoder"):
        CCT(**only())
    with pytest.raises(UserError, match="which object_mask, cutout need"):
        CCT(background=None, context_mask=0)
    CCT(background=None, **only(noise=1))


@pytest.mark.parametrize("size", [(40, 24), (33, 50)])
def test_crops_of_any_shape_and_strides_that_are_no_power_of_two(size):
    torch.manual_seed(0)
    options = {"img_size": 28, "patch_size": 14, "embed_dim": 24, "depth": 4, "num_heads": 2}
    encoder = "vit_tiny_patch16_224"
    network = Segmenter(3, decoder="dpt", encoder=encoder, encoder_options=options)
    method = CCT(warmup_steps=0)
    method.setup(network)
    target, outputs = method.predict(torch.randn(2, 3, *size), step())
    assert {out.shape for out in outputs} == {target.shape} == {(2, 3, *size)}
